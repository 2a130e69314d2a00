//! `[defaults]` and `[[routes]]`.

use std::sync::Arc;

use http::StatusCode;

use super::cluster;
use super::forward_auth::{self, Ends};
use super::known_limits::KnownLimits;
use super::pattern::pattern;
use crate::file::Overrides;
use crate::key::KeyPart;
use crate::limit::{Limit, MissingKey, POLICIES_MAX};
use crate::read::{At, Source, Table, Value};
use crate::route::{Action, Auth, Builtin, Head, Respond, Route, StatusMap, Upstream};
use crate::route_table::RouteTable;

/// A limit and where it is asked for.
type Placed = (Arc<Limit>, At<String>);

/// Keys that say where a route ends.
const ENDS: [&str; 3] = ["upstream", "respond", "builtin"];
/// As many as a key can have.
const SCOPES_MAX: usize = 16;

/// `[defaults]`: what routes have that say nothing else.
#[derive(Default)]
pub(super) struct Defaults {
    limits: Vec<Placed>,
    status: StatusMap,
}

impl Defaults {
    pub(super) fn read(table: Option<Table<'_, '_>>, known: &mut KnownLimits) -> Self {
        let Some(mut table) = table else {
            return Defaults::default();
        };
        let texts = table.value("limits").and_then(|value| value.strings());
        let limits = limits_of(table.source(), texts.unwrap_or_default(), "default", known);
        let status = status_map(table.table("status"), StatusMap::default());
        table.finish();
        Defaults { limits, status }
    }
}

/// Reads routes, one after the other.
pub(super) struct Reader<'r> {
    pub(super) limits: &'r mut KnownLimits,
    pub(super) defaults: &'r Defaults,
    pub(super) upstreams: &'r mut Vec<Upstream>,
    pub(super) overrides: &'r Overrides,
    /// Whether the counters are in a cluster.
    pub(super) is_cluster: bool,
    /// Which routes end here and which elsewhere.
    pub(super) ends: Ends,
}

impl Reader<'_> {
    pub(super) fn route(&mut self, mut table: Table<'_, '_>, routes: &mut RouteTable) {
        if table.says("builtin", forward_auth::NAME) {
            self.ends.asked_here.get_or_insert_with(|| table.span());
            return forward_auth::route(table, routes);
        }
        let source = table.source();
        let matches = match table.value("match") {
            Some(value) => value.strings(),
            None => table.lacks("match").then(Vec::new),
        };
        if matches.as_ref().is_some_and(Vec::is_empty) {
            source.complain(
                table.span(),
                "a route needs a `match`, like `match = \"GET /call_api\"`",
            );
        }
        let matches = matches.unwrap_or_default();
        let patterns: Vec<_> = matches
            .iter()
            .filter_map(|text| pattern(source, text))
            .collect();
        let auth = auth(&mut table);
        let asks_nobody = auth.as_ref().is_some_and(Vec::is_empty);
        let auth = auth.unwrap_or_default();
        let scopes = scopes(&mut table, asks_nobody);
        let status = status_map(table.table("status"), self.defaults.status);
        let action = self.action(&mut table);
        let name: Arc<str> = matches.first().map_or("", |text| &text.value).into();
        let limits = self.limits_of(&mut table, &name, action.as_ref());
        let page = table
            .value("html")
            .is_some_and(|value| value.choice(&[("number", true)]).unwrap_or(false));
        let head = table
            .value("head")
            .and_then(|value| value.choice(&[("forward", Head::Forward), ("local", Head::Local)]));
        let prefetch = table
            .value("prefetch")
            .and_then(|value| value.choice(&[("forward", false), ("refuse", true)]));
        let mut text = table.table("text");
        let limited_text = text
            .as_mut()
            .and_then(|text| text.value("limited"))
            .and_then(|value| value.string())
            .map(|text| text.value);
        text.into_iter().for_each(Table::finish);
        let span = table.span();
        table.finish();
        let Some(action) = action else { return };
        if asks_nobody {
            keys_need_auth(source, &limits);
        }
        if matches!(action, Action::Elsewhere) {
            forward_auth::holds_no_slots(source, &limits);
        }
        if self.is_cluster {
            cluster::keys_are_together(source, &span, &limits, &auth);
        }
        let policies: usize = limits.iter().map(|(limit, _)| limit.policies.len()).sum();
        if policies > POLICIES_MAX {
            let message = format!(
                "a route has at most {POLICIES_MAX} quotas in all its limits, found {policies}"
            );
            source.complain(span.clone(), message);
        }
        let route = Route {
            index: 0,
            name,
            auth,
            scopes,
            limits: limits.into_iter().map(|(limit, _)| limit).collect(),
            action,
            status,
            limited_text,
            head: head.unwrap_or_default(),
            refuse_prefetch: prefetch.unwrap_or(false),
            page,
        };
        if patterns.len() == matches.len()
            && let Err((place, why)) = routes.insert(route, &patterns)
        {
            source.complain(
                matches[place].span.clone(),
                format!("`{}` cannot be a route: {why}", matches[place].value),
            );
        }
    }

    fn limits_of(
        &mut self,
        table: &mut Table<'_, '_>,
        route: &str,
        action: Option<&Action>,
    ) -> Vec<Placed> {
        let source = table.source();
        let own = table
            .value("limits")
            .map(|value| value.strings().unwrap_or_default());
        let inherit = table
            .value("inherit")
            .and_then(|value| value.bool())
            .unwrap_or(false);
        // Built-ins have no default limits: signing up, or looking at what is left, is not what the limit is for.
        let defaults = if matches!(action, Some(Action::Builtin { .. })) && own.is_none() {
            &[][..]
        } else {
            &self.defaults.limits[..]
        };
        let mut limits = Vec::new();
        if own.is_none() || inherit {
            limits.extend_from_slice(defaults);
        }
        let own = limits_of(
            source,
            own.unwrap_or_default(),
            &inline_name(route),
            self.limits,
        );
        let is_new = |(limit, _): &(Arc<Limit>, _)| {
            !defaults.iter().any(|(known, _)| Arc::ptr_eq(known, limit))
        };
        limits.extend(own.into_iter().filter(|own| !inherit || is_new(own)));
        limits
    }

    fn action(&mut self, table: &mut Table<'_, '_>) -> Option<Action> {
        let source = table.source();
        let of = table.value("of");
        let of_span = of.as_ref().map(Value::span);
        let of = of.map_or(Some(Vec::new()), |value| value.strings());
        let (upstream, respond, builtin) = (
            table.value("upstream"),
            table.value("respond"),
            table.value("builtin"),
        );
        let action = match (upstream, respond, builtin) {
            (Some(value), None, None) => self.upstream(&value),
            (None, Some(value), None) => respond_of(value.table()?),
            (None, None, Some(value)) => {
                let builtin = value.choice(&forward_auth::builtins());
                self.ends.is_unknown |= builtin.is_none();
                let builtin = builtin??;
                let shows_none = of.as_ref().is_some_and(Vec::is_empty);
                let of = limits_of(source, of.unwrap_or_default(), "of", self.limits);
                let of: Vec<Arc<Limit>> = of.into_iter().map(|(limit, _)| limit).collect();
                if builtin == Builtin::Remaining && shows_none {
                    source.complain(value.span(), "`remaining` needs `of`: the limits that it shows, like `of = [\"per-user\"]`");
                }
                Some(Action::Builtin { builtin, of })
            }
            (None, None, None) => {
                if ENDS.iter().all(|end| table.lacks(end)) {
                    self.ends.elsewhere.push(table.span());
                }
                Some(Action::Elsewhere)
            }
            _ => {
                source.complain(table.span(), forward_auth::ONE_END);
                None
            }
        };
        let shows = |action: &Action| {
            matches!(
                action,
                Action::Builtin {
                    builtin: Builtin::Remaining | Builtin::Monitor,
                    ..
                }
            )
        };
        if let (Some(span), Some(action)) = (of_span, &action)
            && !shows(action)
        {
            source.complain(
                span,
                "`of` is for `builtin = \"remaining\"` and `builtin = \"monitor\"`",
            );
        }
        action
    }

    fn upstream(&mut self, value: &Value<'_, '_>) -> Option<Action> {
        let text = value.string()?;
        let parsed = Upstream::parse(&text.value)
            .map_err(|why| value.source().complain(text.span, why))
            .ok()?;
        let upstream = self.overrides.upstream.clone().unwrap_or(parsed);
        let index = self
            .upstreams
            .iter()
            .position(|known| *known == upstream)
            .unwrap_or_else(|| {
                self.upstreams.push(upstream);
                self.upstreams.len() - 1
            });
        Some(Action::Upstream { upstream: index })
    }
}

/// As who callers may come; `None` where that cannot be read.
fn auth(table: &mut Table<'_, '_>) -> Option<Vec<Auth>> {
    let names = [
        ("session", Auth::Session),
        ("bearer", Auth::Bearer),
        ("api-key", Auth::ApiKey),
    ];
    let Some(value) = table.value("auth") else {
        return table.lacks("auth").then(Vec::new);
    };
    let words = value.strings()?;
    let words = words
        .iter()
        .map(|word| crate::read::choose(table.source(), word, "auth", &names));
    // All of them are read, so that all mistakes are told.
    let words: Vec<Option<Auth>> = words.collect();
    words.into_iter().collect()
}

/// The limits of these texts, each of which is named or written out.
fn limits_of(
    source: &Source<'_>,
    texts: Vec<At<String>>,
    base: &str,
    known: &mut KnownLimits,
) -> Vec<Placed> {
    let mut limits: Vec<Placed> = Vec::new();
    for text in texts {
        let Some(limit) = known.resolve(source, &text, base) else {
            continue;
        };
        if limits.iter().any(|(other, _)| Arc::ptr_eq(other, &limit)) {
            let message = format!("`{}` is among the limits of this route already", text.value);
            source.complain(text.span, message);
        } else {
            limits.push((limit, text));
        }
    }
    limits
}

/// `GET /fast` names its inline limit `fast`.
fn inline_name(route: &str) -> String {
    let path = route.rsplit(' ').next().unwrap_or_default();
    let words: Vec<&str> = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let name = words.join("-");
    if super::limits::is_name(&name) && name != super::limits::RESERVED_NAME {
        name
    } else {
        "route".to_owned()
    }
}

/// What a route asks of API keys and of other issuers' tokens; `asks_nobody` when it has no `auth`.
fn scopes(table: &mut Table<'_, '_>, asks_nobody: bool) -> Vec<String> {
    let source = table.source();
    let Some(value) = table.value("scopes") else {
        return Vec::new();
    };
    let words = value.strings().unwrap_or_default();
    if asks_nobody {
        let help = "add `auth`, like `auth = [\"api-key\"]`".to_owned();
        let message = "`scopes` are of no use where nobody is asked who they are";
        source.complain_with(value.span(), message, Some(help));
    }
    if words.len() > SCOPES_MAX {
        let message = format!("a route asks for at most {SCOPES_MAX} scopes");
        source.complain(value.span(), message);
    }
    for word in words.iter().filter(|word| !is_scope(&word.value)) {
        let message = format!(
            "`{}` is no scope: a word without blanks and quotes, at most 64 long",
            word.value
        );
        source.complain(word.span.clone(), message);
    }
    words.into_iter().map(|word| word.value).collect()
}

/// A scope token of RFC 6749, section 3.3.
fn is_scope(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=64).contains(&word.len()) && word.bytes().all(fits)
}

/// A limit by user cannot count requests of a route that asks nobody who they are.
fn keys_need_auth(source: &Source<'_>, limits: &[Placed]) {
    for (limit, at) in limits
        .iter()
        .filter(|(limit, _)| limit.missing == MissingKey::Deny)
    {
        let by_caller = limit
            .key
            .parts()
            .iter()
            .any(|part| matches!(part, KeyPart::User | KeyPart::ApiKey | KeyPart::Claim(_)));
        if by_caller {
            let help = "add `auth`, or say `missing = \"skip\"` or `\"anonymous\"` in the limit"
                .to_owned();
            source.complain_with(
                at.span.clone(),
                format!(
                    "`{}` limits by the caller, but this route asks nobody who they are",
                    limit.name
                ),
                Some(help),
            );
        }
    }
}

fn status_map(table: Option<Table<'_, '_>>, mut map: StatusMap) -> StatusMap {
    let Some(mut table) = table else { return map };
    for (key, status) in [
        ("unauthenticated", &mut map.unauthenticated),
        ("limited", &mut map.limited),
    ] {
        let code = table.value(key).and_then(|value| value.number(400, 599));
        if let Some(code) = code.and_then(|code| StatusCode::from_u16(code as u16).ok()) {
            *status = code;
        }
    }
    table.finish();
    map
}

fn respond_of(mut table: Table<'_, '_>) -> Option<Action> {
    let source = table.source();
    let status = table
        .value("status")
        .and_then(|value| value.number(200, 599))
        .unwrap_or(200);
    let text = table.value("text").and_then(|value| value.string());
    let json = table.value("json").and_then(|value| value.string());
    let content_type = table
        .value("type")
        .and_then(|value| value.string())
        .map(|text| text.value);
    let span = table.span();
    table.finish();
    let (body, usual_type) = match (text, json) {
        (Some(text), None) => (text, "text/plain; charset=utf-8"),
        (None, Some(json)) => (json, "application/json"),
        _ => {
            source.complain(
                span,
                "`respond` has exactly one of `text` and `json`, each a string",
            );
            return None;
        }
    };
    let status = StatusCode::from_u16(status as u16).unwrap_or(StatusCode::OK);
    let content_type = content_type.unwrap_or_else(|| usual_type.to_owned());
    if http::HeaderValue::from_str(&content_type).is_err() {
        source.complain(span, format!("`{content_type}` is no media type"));
    } else if is_json(&content_type)
        && let Err(why) = serde_json::from_str::<serde_json::Value>(&body.value)
    {
        source.complain(body.span, format!("this is no JSON: {why}"));
    }
    Some(Action::Respond(Respond {
        status,
        content_type,
        body: body.value,
    }))
}

/// Whether a media type is JSON's or ends as those that are JSON (RFC 6839).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}
