//! How long requests took, by route, method and status: `http.server.request.duration` of OpenTelemetry's conventions.
//!
//! Which methods and statuses there are is up to clients and upstreams, so each route tells only so many apart.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

use crate::durations::{DurationCounts, Durations};

/// Methods with a scheme and a status that one route tells apart.
pub(crate) const SERIES_MAX: usize = 32;

/// The histograms of one route.
#[derive(Debug)]
pub(crate) struct RouteDurations {
    /// The path of its pattern; empty for requests that met no route.
    template: String,
    /// In the order in which they were first met; what is behind an empty place is empty too.
    series: [OnceLock<Series>; SERIES_MAX],
    /// What found no place.
    others: Durations,
}

#[derive(Debug)]
struct Series {
    method: &'static str,
    /// Whether the client came by https.
    secure: bool,
    status: StatusCode,
    durations: Durations,
}

impl RouteDurations {
    pub(crate) fn new(template: &str) -> Arc<Self> {
        Arc::new(RouteDurations {
            template: template.to_owned(),
            series: std::array::from_fn(|_| OnceLock::new()),
            others: Durations::default(),
        })
    }

    pub(crate) fn observe(
        &self,
        method: &Method,
        secure: bool,
        status: StatusCode,
        took: Duration,
    ) {
        let method = known_method(method);
        let new = || Series {
            method,
            secure,
            status,
            durations: Durations::default(),
        };
        let is_it = |series: &&Series| {
            (series.status, series.secure) == (status, secure) && series.method == method
        };
        let mut places = self.series.iter().map(|place| place.get_or_init(new));
        match places.find(is_it) {
            Some(series) => series.durations.observe(took),
            None => self.others.observe(took),
        }
    }

    /// All of them together.
    pub(crate) fn counts(&self) -> DurationCounts {
        let mut counts = self.others.counts();
        for series in self.known() {
            counts.add(&series.durations.counts());
        }
        counts
    }

    fn known(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().map_while(OnceLock::get)
    }
}

/// A method as labels and spans have it: those of RFC 9110 and RFC 5789; a stranger may make up any other.
pub fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}

/// The histograms of all routes, as one metric.
#[derive(Debug)]
pub(crate) struct RequestDurations(pub(crate) Vec<Arc<RouteDurations>>);

impl TypedMetric for RequestDurations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for RequestDurations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut others = DurationCounts::default();
        for route in &self.0 {
            for series in route.known() {
                let labels = [
                    ("http_request_method", series.method),
                    ("url_scheme", if series.secure { "https" } else { "http" }),
                    ("http_route", &route.template),
                    ("http_response_status_code", series.status.as_str()),
                ];
                let counts = series.durations.counts();
                counts.encode(encoder.encode_family(&labels)?)?;
            }
            others.add(&route.others.counts());
        }
        if others.count() > 0 {
            // As OpenTelemetry names what is beyond the bound of a metric.
            let labels = [("otel_metric_overflow", "true")];
            others.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    fn encoded(route: &Arc<RouteDurations>) -> String {
        let mut registry = Registry::default();
        let durations = RequestDurations(vec![Arc::clone(route)]);
        registry.register("took", "How long", durations);
        let mut encoded = String::new();
        text::encode(&mut encoded, &registry).unwrap();
        encoded
    }

    #[test]
    fn each_method_scheme_and_status_of_a_route_has_a_histogram_of_its_own() {
        let route = RouteDurations::new("/things/{id}");
        let took = Duration::from_millis(2);
        route.observe(&Method::GET, false, StatusCode::OK, took);
        route.observe(&Method::GET, false, StatusCode::OK, took);
        route.observe(&Method::GET, false, StatusCode::TOO_MANY_REQUESTS, took);
        let invented = Method::from_bytes(b"INVENTED").unwrap();
        route.observe(&invented, true, StatusCode::OK, took);
        let text = encoded(&route);
        for (method, scheme, status, count) in [
            ("GET", "http", 200, 2),
            ("GET", "http", 429, 1),
            ("_OTHER", "https", 200, 1),
        ] {
            let line = format!(
                "took_count{{http_request_method=\"{method}\",url_scheme=\"{scheme}\",http_route=\"/things/{{id}}\",http_response_status_code=\"{status}\"}} {count}\n"
            );
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(!text.contains("overflow"), "{text}");
        assert_eq!(route.counts().count(), 4);
    }

    #[test]
    fn an_upstream_that_answers_with_every_status_makes_only_so_many_series() {
        let route = RouteDurations::new("/");
        for status in 100..1000 {
            let status = StatusCode::from_u16(status).unwrap();
            route.observe(&Method::GET, false, status, Duration::from_millis(1));
        }
        let text = encoded(&route);
        let series = text.lines().filter(|line| line.starts_with("took_count"));
        assert_eq!(series.count(), SERIES_MAX + 1);
        let rest = 900 - SERIES_MAX;
        let others = format!("took_count{{otel_metric_overflow=\"true\"}} {rest}\n");
        assert!(text.contains(&others), "{text}");
        assert_eq!(route.counts().count(), 900);
    }
}
