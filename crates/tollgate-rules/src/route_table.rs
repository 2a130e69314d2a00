//! Which route a request takes.

use std::borrow::Cow;
use std::collections::HashMap;

use http::Method;

use crate::route::Route;

/// The routes by method and path.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// By lower-case pattern: matching ignores the case of literal segments.
    paths: matchit::Router<usize>,
    /// The same patterns, for finding an endpoint by its pattern and not by a path.
    by_pattern: HashMap<String, usize>,
    endpoints: Vec<Endpoint>,
}

/// One path pattern with the routes of its methods.
#[derive(Debug)]
struct Endpoint {
    /// The pattern as the file spells it.
    pattern: String,
    /// Whether the file names it; the parent path of a wildcard is there by implication.
    named: bool,
    /// The route of each method; `None` takes every method that is not named.
    methods: Vec<(Option<Method>, usize)>,
}

/// What a method and a path lead to.
#[derive(Debug)]
pub enum Found<'t, 'p> {
    /// A route.
    Route {
        /// The route.
        route: &'t Route,
        /// The path in the one form that was matched, which is what is forwarded.
        path: Cow<'p, str>,
        /// How many bytes of `path` the pattern spells out before its wildcard; all of it when it has none.
        literal_bytes: usize,
    },
    /// The path is known, the method is not.
    MethodNotAllowed {
        /// The methods that are, for `Allow`.
        allow: String,
    },
    /// OPTIONS, which no route of this path asks for itself.
    Options {
        /// The methods of this path, for `Allow`.
        allow: String,
    },
    /// Nothing.
    NotFound,
}

impl RouteTable {
    /// All routes.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The patterns as the file spells them, each with its methods (`None` for any) and routes.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, Option<&Method>, &Route)> {
        let named = self.endpoints.iter().filter(|endpoint| endpoint.named);
        named.flat_map(|endpoint| {
            let methods = endpoint.methods.iter();
            methods.map(|(method, route)| {
                (
                    endpoint.pattern.as_str(),
                    method.as_ref(),
                    &self.routes[*route],
                )
            })
        })
    }

    /// Patterns in which a segment stands for itself that means any segment elsewhere, `:id` or `*`, each with what was
    /// probably meant.
    pub fn lookalikes(&self) -> impl Iterator<Item = (&str, String)> {
        let named = self.endpoints.iter().filter(|endpoint| endpoint.named);
        named.filter_map(|endpoint| {
            let pattern = endpoint.pattern.as_str();
            let last = pattern.matches('/').count();
            let segments = pattern.split('/').enumerate();
            let meant: Vec<_> = segments
                .map(|(place, segment)| match segment.strip_prefix(':') {
                    Some(name) if !name.is_empty() => format!("{{{name}}}"),
                    _ if segment == "**" || (segment == "*" && place == last) => {
                        "{*rest}".to_owned()
                    }
                    _ if segment == "*" => format!("{{part{place}}}"),
                    _ => segment.to_owned(),
                })
                .collect();
            let meant = meant.join("/");
            (meant != pattern).then_some((pattern, meant))
        })
    }

    /// Adds a route under its patterns.
    ///
    /// # Errors
    /// For the first pattern that cannot be: its place in `patterns`, and why.
    pub(crate) fn insert(
        &mut self,
        mut route: Route,
        patterns: &[(Option<Method>, String)],
    ) -> Result<(), (usize, String)> {
        let index = self.routes.len();
        for (place, (method, pattern)) in patterns.iter().enumerate() {
            self.insert_pattern(index, method.clone(), pattern)
                .map_err(|why| (place, why))?;
        }
        route.index = index;
        self.routes.push(route);
        Ok(())
    }

    /// Lets `/api/{*rest}` also match `/api` where nothing else does. Called once, when all routes are in.
    pub(crate) fn imply_parents(&mut self) {
        let wild = self.endpoints.iter().filter_map(|endpoint| {
            let (parent, _) = endpoint.pattern.split_once("{*")?;
            let parent = if parent == "/" {
                parent
            } else {
                parent.trim_end_matches('/')
            };
            Some((parent.to_owned(), endpoint.methods.clone()))
        });
        for (parent, methods) in wild.collect::<Vec<_>>() {
            let key = lower_case_literals(&parent);
            let taken = self.by_pattern.contains_key(&key);
            if !taken && self.paths.insert(key, self.endpoints.len()).is_ok() {
                self.endpoints.push(Endpoint {
                    pattern: parent,
                    named: false,
                    methods,
                });
            }
        }
    }

    fn insert_pattern(
        &mut self,
        route: usize,
        method: Option<Method>,
        pattern: &str,
    ) -> Result<(), String> {
        let key = lower_case_literals(pattern);
        if let Some(same) = self.by_pattern.get(&key) {
            let endpoint = &mut self.endpoints[*same];
            if endpoint.methods.iter().any(|(known, _)| *known == method) {
                return Err("another route has this method and path already".to_owned());
            }
            endpoint.methods.push((method, route));
            return Ok(());
        }
        self.paths
            .insert(key.clone(), self.endpoints.len())
            .map_err(|error| match error {
                matchit::InsertError::Conflict { with } => {
                    format!("it cannot be told apart from `{with}`")
                }
                _ => "write `{name}` for one segment, and `{*rest}` at the end for all that follow"
                    .to_owned(),
            })?;
        self.by_pattern.insert(key, self.endpoints.len());
        self.endpoints.push(Endpoint {
            pattern: pattern.to_owned(),
            named: true,
            methods: vec![(method, route)],
        });
        Ok(())
    }

    /// Finds the route of a method and a [normal](crate::path::normalise) path.
    pub fn find<'t, 'p>(&'t self, method: &Method, path: Cow<'p, str>) -> Found<'t, 'p> {
        let Some((endpoint, path)) = self.endpoint(path) else {
            return Found::NotFound;
        };
        let by = |wanted: Option<&Method>| {
            endpoint
                .methods
                .iter()
                .find(|(known, _)| known.as_ref() == wanted)
                .map(|(_, route)| *route)
        };
        let head_by_get = || {
            (method == Method::HEAD)
                .then(|| by(Some(&Method::GET)))
                .flatten()
        };
        if let Some(route) = by(Some(method)).or_else(head_by_get) {
            return self.found(endpoint, route, path);
        }
        if method == Method::OPTIONS {
            return Found::Options {
                allow: endpoint.allow(),
            };
        }
        let any = by(None).filter(|_| method != Method::CONNECT && method != Method::TRACE);
        match any {
            Some(route) => self.found(endpoint, route, path),
            None => Found::MethodNotAllowed {
                allow: endpoint.allow(),
            },
        }
    }

    fn found<'t, 'p>(
        &'t self,
        endpoint: &'t Endpoint,
        route: usize,
        path: Cow<'p, str>,
    ) -> Found<'t, 'p> {
        let path = spelled_as(&endpoint.pattern, path);
        let literal_bytes = match endpoint.pattern.find('{') {
            Some(brace) => brace.saturating_sub(1).min(path.len()),
            None => path.len(),
        };
        Found::Route {
            route: &self.routes[route],
            path,
            literal_bytes,
        }
    }

    fn endpoint<'p>(&self, path: Cow<'p, str>) -> Option<(&Endpoint, Cow<'p, str>)> {
        let lower: Cow<'_, str> = match path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(path.to_ascii_lowercase()),
            false => Cow::Borrowed(&path),
        };
        let at = |path: &str| {
            let found = self.paths.at(path).ok()?;
            Some(&self.endpoints[*found.value])
        };
        let as_written = at(&lower);
        if as_written.is_some_and(|endpoint| !endpoint.is_wildcard()) || lower == "/" {
            return Some((as_written?, path));
        }
        // With and without a slash at its end are two spellings of one path: neither slips past its route into a
        // wildcard's.
        let (other, respelled) = match lower.strip_suffix('/') {
            Some(shorter) => (Cow::Borrowed(shorter), path[..shorter.len()].to_owned()),
            None => (Cow::Owned(format!("{lower}/")), format!("{path}/")),
        };
        match at(&other).filter(|endpoint| !endpoint.is_wildcard()) {
            Some(endpoint) => Some((endpoint, Cow::Owned(respelled))),
            None => Some((as_written?, path)),
        }
    }
}

impl Endpoint {
    fn is_wildcard(&self) -> bool {
        self.pattern.contains("{*")
    }

    fn allow(&self) -> String {
        let mut methods: Vec<&str> = self
            .methods
            .iter()
            .filter_map(|(method, _)| method.as_ref())
            .map(Method::as_str)
            .collect();
        if self.methods.iter().any(|(method, _)| method.is_none()) {
            methods = vec!["GET", "POST", "PUT", "PATCH", "DELETE"];
        }
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        if !methods.contains(&"OPTIONS") {
            methods.push("OPTIONS");
        }
        methods.join(", ")
    }
}

/// The pattern with its literal segments in lower case; parameters keep their names.
fn lower_case_literals(pattern: &str) -> String {
    let lower = |segment: &str| {
        if segment.contains('{') {
            segment.to_owned()
        } else {
            segment.to_ascii_lowercase()
        }
    };
    pattern.split('/').map(lower).collect::<Vec<_>>().join("/")
}

/// The path with its literal segments spelled as the pattern spells them.
fn spelled_as<'p>(pattern: &str, path: Cow<'p, str>) -> Cow<'p, str> {
    let mut spelled: Option<String> = None;
    let mut at = 0;
    for segment in pattern.split('/') {
        if segment.starts_with("{*") {
            break;
        }
        let end = path[at..].find('/').map_or(path.len(), |slash| at + slash);
        if !segment.contains('{') && path[at..end] != *segment {
            spelled
                .get_or_insert_with(|| path.to_string())
                .replace_range(at..end, segment);
        }
        at = (end + 1).min(path.len());
    }
    spelled.map_or(path, Cow::Owned)
}
