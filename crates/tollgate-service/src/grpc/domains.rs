//! The domains that are known, from the rules and from files of Envoy's own service, which are read again when they
//! change.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use http::HeaderValue;
use tollgate::{Micros, OnError};
use tollgate_gateway::Counters;
use tollgate_gateway::watched::{self, Watched};
use tollgate_rules::domain::{Descriptor, DescriptorRate, Domain};
use tollgate_rules::{Contents, LONGEST_FILE_BYTES, Standing, envoy, modified};
use tollgate_tower::fields;

use super::metrics::{GrpcMetrics, OfDescriptor};
use super::overrides::{Newcomers, Overrides};

/// The most files of Envoy's own service.
const FILES_MAX: usize = 64;

/// Is told since when the files are what they are, and what they say, where there are any. Returns the counters for
/// decisions by what was read just now: of its version, whatever is read later.
pub type OnLoaded = Box<dyn Fn(Option<Standing>) -> Counters + Send + Sync>;

/// The domains that are known. What is asked while they change is decided by those from before.
pub struct Domains {
    known: RwLock<Arc<Known>>,
    files: Mutex<Files>,
    metrics: Arc<GrpcMetrics>,
    on_loaded: OnLoaded,
}

/// Domains at one time, and the counters that go with them: limits and their version change together.
pub(super) struct Known {
    by_name: ByName,
    pub(super) counters: Counters,
}

type ByName = HashMap<String, KnownDomain>;

/// A domain, and what is measured of it.
pub(super) struct KnownDomain {
    pub(super) domain: Arc<Domain>,
    /// One for each of its descriptors, by index.
    pub(super) metrics: Vec<OfDescriptor>,
    /// `RateLimit-Policy` of each, likewise: it depends on no request.
    pub(super) policy_values: Vec<Option<HeaderValue>>,
    pub(super) overrides: Overrides,
}

/// What the domains are made of.
struct Files {
    /// Those of the rules, which stay.
    native: Vec<Arc<Domain>>,
    on_error: OnError,
    read: Vec<ReadFile>,
    /// Whether what was read of them last is in use.
    is_in_use: bool,
    newcomers: Arc<Newcomers>,
}

struct ReadFile {
    path: PathBuf,
    watched: Watched,
    domain: Arc<Domain>,
    modified: Micros,
    /// Whether it has changed since into something that is not used.
    is_kept_out: bool,
}

impl Known {
    pub(super) fn domain(&self, name: &str) -> Option<&KnownDomain> {
        self.by_name.get(name)
    }
}

impl Domains {
    /// The domains of the rules and of `files`. `on_error` is what happens to limits of the files while a shared store
    /// cannot be reached; `on_loaded` is asked here and whenever files have been read again.
    ///
    /// # Errors
    /// What is wrong with the files, as a person should read it.
    pub fn open(
        native: Vec<Arc<Domain>>,
        files: &[PathBuf],
        on_error: OnError,
        metrics: Arc<GrpcMetrics>,
        on_loaded: OnLoaded,
    ) -> Result<Arc<Self>, String> {
        if files.len() > FILES_MAX {
            return Err(format!("there are more than {FILES_MAX} files of domains"));
        }
        let mut all = Files {
            native,
            on_error,
            read: Vec::new(),
            is_in_use: true,
            newcomers: Arc::default(),
        };
        for path in files {
            let (watched, modified, domain) = read(path, on_error, None)?;
            all.read.push(ReadFile {
                path: path.clone(),
                watched,
                domain,
                modified,
                is_kept_out: false,
            });
        }
        let known = Known {
            by_name: all.by_name(&ByName::new(), &metrics)?,
            counters: on_loaded(all.standing()),
        };
        metrics.loaded();
        Ok(Arc::new(Domains {
            known: RwLock::new(Arc::new(known)),
            files: Mutex::new(all),
            metrics,
            on_loaded,
        }))
    }

    /// The domains as they are now.
    pub(super) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads again what has changed. A file that is wrong is kept out: what was read of it last stays.
    pub fn read_changed(&self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let on_error = files.on_error;
        let mut any = false;
        for file in &mut files.read {
            if !file.watched.has_changed(&file.path) {
                continue;
            }
            match read(&file.path, on_error, Some(&file.domain)) {
                Ok((watched, modified, domain)) => {
                    (file.watched, file.modified, file.domain) = (watched, modified, domain);
                    file.is_kept_out = false;
                    any = true;
                }
                Err(why) => {
                    self.keep_out(&file.path, &why);
                    file.is_kept_out = true;
                }
            }
        }
        if any {
            match files.by_name(&self.known().by_name, &self.metrics) {
                Ok(by_name) => {
                    self.metrics.keep(by_name.values().map(|of| &*of.domain));
                    let counters = (self.on_loaded)(files.standing());
                    let known = Arc::new(Known { by_name, counters });
                    *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                    files.is_in_use = true;
                    self.metrics.loaded();
                    tracing::info!("the domains were read again; counters stay");
                }
                Err(why) => {
                    self.keep_out(Path::new("a domain's file"), &why);
                    files.is_in_use = false;
                }
            }
        }
        let is_current = files.is_in_use && files.read.iter().all(|file| !file.is_kept_out);
        self.metrics.set_current(is_current);
    }

    fn keep_out(&self, path: &Path, why: &str) {
        self.metrics.kept_out();
        let file = path.display();
        tracing::error!(
            "{file} has changed and is not used; what was read of it before stays\n{why}"
        );
    }

    /// Reads what has changed again and again.
    pub async fn follow(self: Arc<Self>) {
        watched::follow("the domains", move || self.read_changed()).await;
    }
}

impl Files {
    /// Since when the files are what they are, and what they say; `None` without files.
    fn standing(&self) -> Option<Standing> {
        let at = self.read.iter().map(|file| file.modified).max()?;
        let mut contents = Contents::default();
        let each = self.read.iter().map(|file| file.domain.contents());
        each.for_each(|of_domain| contents.join(of_domain));
        Some(Standing {
            at,
            contents: contents.number(),
        })
    }

    /// The domains as they now are, and were `before`.
    fn by_name(&self, before: &ByName, metrics: &GrpcMetrics) -> Result<ByName, String> {
        let read = self.read.iter().map(|file| &file.domain);
        let mut domains: HashMap<&str, &Arc<Domain>> = HashMap::new();
        for domain in self.native.iter().chain(read) {
            if domains.insert(&domain.name, domain).is_some() {
                return Err(format!("two files have the domain `{}`", domain.name));
            }
        }
        let known = domains.into_iter().map(|(name, domain)| {
            let of = KnownDomain {
                domain: Arc::clone(domain),
                metrics: metrics.of_domain(domain),
                policy_values: domain.descriptors().iter().map(policy_value).collect(),
                overrides: match before.get(name) {
                    Some(before) => before.overrides.again(domain),
                    None => Overrides::new(Arc::clone(&self.newcomers)),
                },
            };
            (name.to_owned(), of)
        });
        Ok(known.collect())
    }
}

fn policy_value(descriptor: &Arc<Descriptor>) -> Option<HeaderValue> {
    match &descriptor.rate {
        DescriptorRate::Limited(policies) => {
            fields::policy_value(policies.iter().map(|policy| &**policy))
        }
        DescriptorRate::None | DescriptorRate::Unlimited => None,
    }
}

/// Reads a file, which was read as `before`, and tells when it was written.
fn read(
    path: &Path,
    on_error: OnError,
    before: Option<&Domain>,
) -> Result<(Watched, Micros, Arc<Domain>), String> {
    let name = path.display().to_string();
    let unreadable = |why: &dyn std::fmt::Display| format!("{name} cannot be read: {why}");
    // Looked at before it is read: what is written while it is read has changed then.
    let (watched, metadata) = Watched::look(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(unreadable(&"it is no regular file"));
    }
    if metadata.len() > LONGEST_FILE_BYTES as u64 {
        return Err(unreadable(&format!(
            "it is longer than {LONGEST_FILE_BYTES} bytes"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let domain = envoy::parse(&name, text.trim_start_matches('\u{feff}'), on_error, before)
        .map_err(|wrong| {
            let shown: Vec<String> = wrong.iter().take(20).map(ToString::to_string).collect();
            shown.join("\n")
        })?;
    Ok((watched, modified(&metadata), Arc::new(domain)))
}
