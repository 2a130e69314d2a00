//! Messages as the library for protocol buffers has them, which says what is right.

use http::header::{HeaderName, HeaderValue as Value};
use prost::Message;

use super::*;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(message, repeated, tag = "2")]
    descriptors: Vec<Descriptor>,
    #[prost(uint32, tag = "3")]
    hits_addend: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Descriptor {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<Pair>,
    #[prost(message, optional, tag = "2")]
    limit: Option<Override>,
    #[prost(message, optional, tag = "3")]
    hits_addend: Option<u64>,
    #[prost(bool, tag = "4")]
    is_negative_hits: bool,
}

/// An entry, or a field for the response.
#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Override {
    #[prost(uint32, tag = "1")]
    requests_per_unit: u32,
    #[prost(int32, tag = "2")]
    unit: i32,
    #[prost(message, optional, tag = "3")]
    unit_multiplier: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(int32, tag = "1")]
    overall_code: i32,
    #[prost(message, repeated, tag = "2")]
    statuses: Vec<Status>,
    #[prost(message, repeated, tag = "3")]
    response_headers_to_add: Vec<Pair>,
    #[prost(bytes = "bytes", tag = "5")]
    raw_body: Bytes,
    #[prost(message, optional, tag = "6")]
    dynamic_metadata: Option<Struct>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(message, optional, tag = "2")]
    current_limit: Option<Limit>,
    #[prost(uint32, tag = "3")]
    limit_remaining: u32,
    #[prost(message, optional, tag = "4")]
    duration_until_reset: Option<Duration>,
}

#[derive(Clone, PartialEq, Message)]
struct Limit {
    #[prost(uint32, tag = "1")]
    requests_per_unit: u32,
    #[prost(int32, tag = "2")]
    unit: i32,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(message, optional, tag = "4")]
    unit_multiplier: Option<u32>,
}

/// Numbers at random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }

    fn text(&mut self) -> String {
        let length = [0, 1, 7, 130][self.below(4) as usize];
        (0..length)
            .map(|_| ['a', 'é', '7'][self.below(3) as usize])
            .collect()
    }

    fn number(&mut self) -> u64 {
        [0, 1, 127, 128, 300, u64::MAX][self.below(6) as usize]
    }

    fn maybe<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 1).then(|| some(self))
    }

    fn few<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.below(5)).map(|_| one(self)).collect()
    }

    fn request(&mut self) -> Request {
        Request {
            domain: self.text(),
            descriptors: self.few(|random| Descriptor {
                entries: random.few(|random| Pair {
                    key: random.text(),
                    value: random.text(),
                }),
                limit: random.maybe(|random| Override {
                    requests_per_unit: random.number() as u32,
                    unit: random.number() as i32,
                    unit_multiplier: random.maybe(|random| random.number() as u32),
                }),
                hits_addend: random.maybe(Random::number),
                is_negative_hits: random.below(2) == 1,
            }),
            hits_addend: self.number() as u32,
        }
    }

    fn answer(&mut self) -> RateLimitResponse {
        let field = |random: &mut Random| HeaderValue {
            key: HeaderName::from_static("ratelimit"),
            value: Value::from(random.number()),
        };
        let status = |random: &mut Random| DescriptorStatus {
            code: random.below(3) as i32,
            current_limit: random.maybe(|random| CurrentLimit {
                requests_per_unit: random.number() as u32,
                unit: random.below(8) as i32,
                name: random.text(),
                unit_multiplier: random.maybe(|random| random.number() as u32),
            }),
            limit_remaining: random.number() as u32,
            duration_until_reset: random.maybe(|random| Duration {
                seconds: random.number() as i64,
                nanos: random.number() as i32,
            }),
        };
        let metadata = |random: &mut Random| Struct {
            fields: [(random.text(), prost_types::Value { kind: None })].into(),
        };
        RateLimitResponse {
            overall_code: self.below(3) as i32,
            statuses: self.few(status).into(),
            response_headers_to_add: self.few(field).into(),
            raw_body: self.text().into(),
            dynamic_metadata: self.maybe(metadata),
        }
    }
}

/// A request as the library has it.
fn known(request: &RateLimitRequest<'_>) -> Request {
    let pair = |entry: &Entry<'_>| Pair {
        key: entry.key.to_owned(),
        value: entry.value.to_owned(),
    };
    let limit = |limit: RateLimitOverride| Override {
        requests_per_unit: limit.requests_per_unit,
        unit: limit.unit,
        unit_multiplier: limit.unit_multiplier,
    };
    let descriptor = |descriptor: &RateLimitDescriptor<'_>| Descriptor {
        entries: descriptor.entries.iter().map(pair).collect(),
        limit: descriptor.limit.map(limit),
        hits_addend: descriptor.hits_addend,
        is_negative_hits: descriptor.is_negative_hits,
    };
    Request {
        domain: request.domain.to_owned(),
        descriptors: request.descriptors.iter().map(descriptor).collect(),
        hits_addend: request.hits_addend,
    }
}

#[test]
fn a_request_is_read_as_the_library_reads_it_and_so_is_what_is_none() {
    let mut random = Random(7);
    let mut malformed = 0;
    for turn in 0..20_000 {
        let mut message = random.request().encode_to_vec();
        // Of most of them some bytes are others, or the end is missing, or they are there twice.
        for _ in 0..turn % 4 {
            let place = random.below(message.len() as u64 + 1) as usize;
            match random.below(4) {
                0 => message.truncate(place),
                1 => message.extend_from_within(..place),
                _ => {
                    if let Some(byte) = message.get_mut(place) {
                        *byte = random.below(256) as u8;
                    }
                }
            }
        }
        let read = request(&message).as_ref().map(known).ok();
        assert_eq!(read, Request::decode(&*message).ok(), "{message:x?}");
        malformed += usize::from(read.is_none());
    }
    assert!((2_000..18_000).contains(&malformed), "{malformed}");
}

#[test]
fn a_message_that_is_there_twice_is_one() {
    let part = |limit, hits_addend| Descriptor {
        limit: Some(limit),
        hits_addend,
        ..Descriptor::default()
    };
    let first = Override {
        requests_per_unit: 5,
        unit: 4,
        unit_multiplier: Some(2),
    };
    let second = Override {
        requests_per_unit: 7,
        unit_multiplier: Some(0),
        ..Override::default()
    };
    let mut parts = part(first, Some(9)).encode_to_vec();
    parts.extend(part(second, Some(0)).encode_to_vec());
    let mut message = vec![0x12, parts.len() as u8];
    message.extend(parts);
    let read = request(&message).unwrap();
    let limit = read.descriptors[0].limit.unwrap();
    assert_eq!((limit.requests_per_unit, limit.unit), (7, 4));
    assert_eq!(known(&read), Request::decode(&*message).unwrap());
}

#[test]
fn of_more_descriptors_than_there_may_be_just_one_is_read() {
    let message = [0x12, 0].repeat(100_000);
    let read = request(&message).unwrap();
    assert_eq!(
        read.descriptors.len(),
        super::super::asked::DESCRIPTORS_MAX + 1
    );
}

#[test]
fn of_more_entries_than_a_descriptor_may_have_just_one_is_read() {
    let entries = [0x0a, 0].repeat(100_000);
    let mut message = vec![0x12];
    prost::encoding::encode_varint(entries.len() as u64, &mut message);
    message.extend(entries);
    let read = request(&message).unwrap();
    assert_eq!(
        read.descriptors[0].entries.len(),
        super::super::asked::ENTRIES_MAX + 1
    );
}

#[test]
fn an_answer_is_written_as_the_library_reads_it() {
    let mut random = Random(11);
    for _ in 0..5_000 {
        let written = random.answer();
        let mut message = Vec::new();
        answer(&written, &mut message);
        let read = Answer::decode(&*message).unwrap();
        let limit = |limit: &CurrentLimit| Limit {
            requests_per_unit: limit.requests_per_unit,
            unit: limit.unit,
            name: limit.name.clone(),
            unit_multiplier: limit.unit_multiplier,
        };
        let status = |status: &DescriptorStatus| Status {
            code: status.code,
            current_limit: status.current_limit.as_ref().map(limit),
            limit_remaining: status.limit_remaining,
            duration_until_reset: status.duration_until_reset,
        };
        let pair = |field: &HeaderValue| Pair {
            key: field.key.to_string(),
            value: field.value.to_str().unwrap().to_owned(),
        };
        let fields = &written.response_headers_to_add;
        let same = Answer {
            overall_code: written.overall_code,
            statuses: written.statuses.iter().map(status).collect(),
            response_headers_to_add: fields.iter().map(pair).collect(),
            raw_body: written.raw_body.clone(),
            dynamic_metadata: written.dynamic_metadata.clone(),
        };
        assert_eq!(read, same);
        assert_eq!(message.len(), same.encoded_len(), "what is 0 is left out");
    }
}

#[test]
fn the_messages_are_those_of_the_proto_files() {
    // What protoc says the encoding of this request is.
    let message = [
        "0a0164",
        "1218",
        "0a060a016b120176",
        "120808071007",
        "1a020802",
        "1a020809",
        "2001",
        "1803",
    ]
    .concat();
    let digits = message.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let message: Vec<u8> = digits.map(byte).collect();
    let read = request(&message).unwrap();
    let limit = RateLimitOverride {
        requests_per_unit: 7,
        unit: Unit::Week as i32,
        unit_multiplier: Some(2),
    };
    let (key, value) = ("k", "v");
    let descriptor = RateLimitDescriptor {
        entries: [Entry { key, value }][..].into(),
        limit: Some(limit),
        hits_addend: Some(9),
        is_negative_hits: true,
    };
    let asked = RateLimitRequest {
        domain: "d",
        descriptors: [descriptor].into_iter().collect(),
        hits_addend: 3,
    };
    assert_eq!(read, asked);
}
