//! What the environment says about traces, by the names that OpenTelemetry has for all programs.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use tollgate_gateway::spans::Sampler;

/// The most spans that may wait, whatever is asked for: a span is less than a KiB.
const QUEUE_LIMIT: usize = 1 << 16;

/// Everything that it says, read and checked.
#[derive(Debug)]
pub(super) struct Environment {
    /// Where spans go: the whole URL.
    pub(super) endpoint: Uri,
    /// Fields of each request to it, which may be secrets.
    pub(super) headers: HeaderMap,
    /// Who signs the collector's certificate; the authorities of the web where it is not said.
    pub(super) authorities: Option<PathBuf>,
    /// For one request to it.
    pub(super) timeout: Duration,
    pub(super) sampler: Sampler,
    /// What the program is, as attributes.
    pub(super) resource: Vec<(String, String)>,
    pub(super) queue_max: usize,
    pub(super) batch_max: usize,
    /// How long a span waits for others.
    pub(super) delay: Duration,
}

type Variable<'v> = &'v dyn Fn(&str) -> Option<String>;

impl Environment {
    /// `None` where no collector is named, or nothing is to be traced.
    ///
    /// # Errors
    /// The variable, and what is wrong with it.
    pub(super) fn read(variable: Variable<'_>) -> Result<Option<Self>, String> {
        // One that is empty is as one that is not there.
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let of_traces = |name: &str| {
            let own = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
            let all = format!("OTEL_EXPORTER_OTLP_{name}");
            variable(&own)
                .map(|value| (own, value))
                .or_else(|| Some((all.clone(), variable(&all)?)))
        };
        let is = |name: &str, wanted: &str| {
            variable(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
        };
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let Some((name, url)) = of_traces("ENDPOINT") else {
            return Ok(None);
        };
        let endpoint = endpoint(&url, name == "OTEL_EXPORTER_OTLP_ENDPOINT")
            .ok_or_else(|| format!("{name}: `{url}` is no URL, like `http://collector:4318`"))?;
        let sampler = sampler(&variable)?;
        if sampler.is_off() {
            return Ok(None);
        }
        if let Some((name, protocol)) = of_traces("PROTOCOL")
            && protocol.trim() != "http/protobuf"
        {
            return Err(format!(
                "{name}: `{protocol}` is not spoken here; `http/protobuf` is, on port 4318 of most collectors"
            ));
        }
        let headers = match of_traces("HEADERS") {
            None => HeaderMap::new(),
            // What it says may be a secret, and is not repeated.
            Some((name, list)) => headers(&list).ok_or_else(|| {
                format!("{name}: header fields are written `name=value,name=value`")
            })?,
        };
        let timeout = of_traces("TIMEOUT").map_or(Ok(10_000), |(name, text)| number(&name, &text));
        let count = |name: &str, default: u64| {
            variable(name).map_or(Ok(default), |text| number(name, &text))
        };
        let queue_max = count("OTEL_BSP_MAX_QUEUE_SIZE", 2_048)? as usize;
        let batch_max = count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)? as usize;
        let queue_max = queue_max.clamp(1, QUEUE_LIMIT);
        Ok(Some(Environment {
            endpoint,
            headers,
            authorities: of_traces("CERTIFICATE").map(|(_, path)| path.into()),
            timeout: Duration::from_millis(timeout?.max(1)),
            sampler,
            resource: resource(&variable)?,
            queue_max,
            batch_max: batch_max.clamp(1, queue_max),
            delay: Duration::from_millis(count("OTEL_BSP_SCHEDULE_DELAY", 5_000)?.max(1)),
        }))
    }
}

/// The URL of an endpoint; of one for all signals, the one of traces below it.
fn endpoint(url: &str, is_base: bool) -> Option<Uri> {
    let url: Uri = url.trim().parse().ok()?;
    let is_known = matches!(url.scheme_str(), Some("http" | "https"));
    let authority = url.authority().filter(|_| is_known)?;
    if authority.as_str().contains('@') {
        return None;
    }
    if !is_base {
        return Some(url);
    }
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    let mut parts = url.into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

fn sampler(variable: &dyn Fn(&str) -> Option<String>) -> Result<Sampler, String> {
    let Some(name) = variable("OTEL_TRACES_SAMPLER") else {
        return Ok(Sampler::DEFAULT);
    };
    let ratio = variable("OTEL_TRACES_SAMPLER_ARG");
    Sampler::of(name.trim(), ratio.as_deref().map(str::trim))
        .map_err(|error| format!("OTEL_TRACES_SAMPLER: {error}"))
}

/// What the program is called, and what else is said of it.
fn resource(variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, String> {
    let list = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let mut attributes = pairs(&list).ok_or_else(|| {
        "OTEL_RESOURCE_ATTRIBUTES: attributes are written `name=value,name=value`".to_owned()
    })?;
    let is_named = attributes.iter().any(|(key, _)| key == "service.name");
    let name = variable("OTEL_SERVICE_NAME");
    if let Some(name) = name.or_else(|| (!is_named).then(|| "tollgate".to_owned())) {
        attributes.retain(|(key, _)| key != "service.name");
        attributes.push(("service.name".to_owned(), name));
    }
    if !attributes.iter().any(|(key, _)| key == "service.version") {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        attributes.push(("service.version".to_owned(), version));
    }
    Ok(attributes)
}

fn headers(list: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(list)? {
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        headers.append(HeaderName::try_from(name).ok()?, value);
    }
    Some(headers)
}

/// `name=value,name=value`, with `%XX` in values.
fn pairs(list: &str) -> Option<Vec<(String, String)>> {
    let items = list
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let pair = |item: &str| {
        let (name, value) = item.split_once('=')?;
        Some((name.trim().to_owned(), decoded(value.trim())?))
    };
    items.map(pair).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let pair = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    let number = text.trim().parse();
    number.map_err(|_| format!("{name}: `{text}` is no whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Environment>, String> {
        let find = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        };
        Environment::read(&find)
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/base/");

    #[test]
    fn without_a_collector_or_with_traces_off_nothing_is_traced() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "True")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")],
            &[ENDPOINT, ("OTEL_TRACES_SAMPLER", "always_off")],
        ] {
            assert!(read(variables).unwrap().is_none(), "{variables:?}");
        }
    }

    #[test]
    fn what_is_said_of_traces_alone_stands_before_what_is_said_of_all() {
        let all = read(&[ENDPOINT]).unwrap().unwrap();
        assert_eq!(all.endpoint, "http://collector:4318/base/v1/traces");
        assert_eq!((all.queue_max, all.batch_max), (2_048, 512));
        assert_eq!(all.sampler, Sampler::DEFAULT);
        let own = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://other/own"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
            (
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                "authorization=Bearer%20t, x-b = 2",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_SERVICE_NAME", "edge"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=no,zone=a%2Cb"),
        ]);
        let own = own.unwrap().unwrap();
        assert_eq!(own.endpoint, "https://other/own");
        assert_eq!(own.headers["authorization"], "Bearer t");
        assert_eq!(own.headers["x-b"], "2");
        assert!(!own.headers.contains_key("a"));
        assert!(!format!("{own:?}").contains("Bearer"), "{own:?}");
        assert_eq!(own.timeout, Duration::from_millis(250));
        assert_eq!((own.queue_max, own.batch_max), (100, 100));
        let find = |key: &str| own.resource.iter().filter(|(k, _)| k == key).count();
        assert_eq!(find("service.name"), 1);
        assert!(
            own.resource
                .contains(&("service.name".into(), "edge".into()))
        );
        assert!(own.resource.contains(&("zone".into(), "a,b".into())));
    }

    #[test]
    fn what_means_nothing_is_said_by_its_variable_and_no_secret_with_it() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://user:password@c",
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0d"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1s"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "zone"),
        ] {
            let said = read(&[ENDPOINT, (name, value)]).unwrap_err();
            assert!(said.starts_with(&format!("{name}: ")), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
