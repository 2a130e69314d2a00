use std::sync::{Arc, Mutex};

use super::*;
use http::HeaderValue;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn tracer(sampler: &str) -> (Tracer, Arc<Mutex<Vec<Span>>>) {
    let spans = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&spans);
    let sampler = Sampler::of(sampler, Some("0.5")).unwrap();
    let tracer = Tracer::new(sampler, move |span| sink.lock().unwrap().push(span));
    (tracer, spans)
}

fn with(traceparent: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("traceparent"),
        HeaderValue::from_static(traceparent),
    )])
}

#[tokio::test]
async fn a_caller_s_trace_goes_on_and_its_parts_hang_together() {
    let (tracer, spans) = tracer("parentbased_always_on");
    let open = tracer.begin(&with(CALLER), true, Micros(7));
    let child = tracer.child(&open);
    let told = open.parent_field(child);
    tracer.end_child(&open, child, "GET", About::default());
    tracer.end(&open, "GET /".into(), About::default());
    let spans = spans.lock().unwrap();
    let [part, whole] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(context::hex(&whole.trace), &CALLER[3..35]);
    assert_eq!(context::hex(&whole.parent.unwrap()), &CALLER[36..52]);
    assert_eq!((part.trace, part.parent), (whole.trace, Some(whole.id)));
    assert_ne!(part.id, whole.id);
    let expected = format!("00-{}-{}-01", &CALLER[3..35], context::hex(&part.id));
    assert_eq!(told, expected);
    assert_eq!(
        (whole.kind, part.kind),
        (SpanKind::Server, SpanKind::Client)
    );
}

#[tokio::test]
async fn who_is_not_trusted_chooses_neither_by_a_flag_nor_by_an_id_what_is_recorded() {
    let (off, _) = tracer("parentbased_always_off");
    let asked = |tracer: &Tracer, trusted| tracer.begin(&with(CALLER), trusted, Micros(0));
    assert!(asked(&off, true).is_sampled());
    assert!(!asked(&off, false).is_sampled());
    let told = asked(&off, false);
    let field = told.parent_field(off.child(&told));
    assert!(
        field.ends_with("-00") && field.contains(&CALLER[3..35]),
        "{field}"
    );

    // The id of this trace is in the upper half: never recorded where ids decide.
    let (half, _) = tracer("traceidratio");
    let sampled = |trusted| {
        (0..64)
            .filter(|_| asked(&half, trusted).is_sampled())
            .count()
    };
    let by_id = sampled(true);
    assert!(by_id == 0 || by_id == 64, "one id, one decision: {by_id}");
    let by_dice = sampled(false);
    assert!((1..64).contains(&by_dice), "{by_dice}");
}

#[tokio::test]
async fn what_is_not_recorded_reaches_nobody_and_ids_are_never_the_same() {
    let (tracer, spans) = tracer("always_off");
    let mut ids: Vec<TraceId> = Vec::new();
    for _ in 0..1000 {
        let open = tracer.begin(&HeaderMap::new(), true, Micros(0));
        tracer.end_child(&open, tracer.child(&open), "decide", About::default());
        tracer.end(&open, "GET".into(), About::default());
        ids.push(open.trace);
    }
    assert!(spans.lock().unwrap().is_empty());
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
}
