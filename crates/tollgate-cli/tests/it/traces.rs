//! Traces without the feature that sends them: fields pass, and whoever asks for more is told.

use tollgate_testkit::client::Call;
#[cfg(not(feature = "otlp"))]
use tollgate_testkit::process::eventually;
use tollgate_testkit::upstream::Upstream;

#[cfg(not(feature = "otlp"))]
use crate::support::launch;
use crate::support::open_proxy;

#[test]
fn the_fields_of_a_trace_pass_untouched_where_requests_are_not_traced() {
    let upstream = Upstream::recording();
    let gateway = open_proxy(&upstream.url());
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let call = Call::get("/")
        .field("traceparent", parent)
        .field("tracestate", "a=1")
        .field("tracestate", "b=2");
    assert_eq!(gateway.call(&call).status, 200);
    let received = upstream.last();
    assert_eq!(received.fields("traceparent"), [parent]);
    assert_eq!(received.fields("tracestate"), ["a=1", "b=2"]);
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(upstream.last().field("traceparent"), None);
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_build_without_traces_says_so_to_whoever_names_a_collector() {
    let upstream = Upstream::recording();
    let mut gateway = launch()
        .upstream(&upstream.url())
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
        .start();
    eventually("it to be said", || {
        let said = gateway.process().stderr();
        let line = said.iter().find(|line| line.contains("`otlp`"))?;
        line.contains("sends no traces").then_some(())
    });
}
