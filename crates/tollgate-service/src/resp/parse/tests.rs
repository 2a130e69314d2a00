//! The parser alone: whatever the network cuts, the commands are the same; whatever comes, it ends.

use tollgate_testkit::Random;

use super::*;

/// All commands in `bytes`, and how it ended.
fn commands(bytes: &[u8], bounds: &Bounds) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>, usize) {
    let (mut all, mut at, mut args) = (Vec::new(), 0, Args::new());
    loop {
        match parse(&bytes[at..], bounds, &mut args) {
            Ok(Some(taken)) => {
                let here = &bytes[at..];
                all.push(args.iter().map(|arg| here[arg.clone()].to_vec()).collect());
                at += taken;
            }
            Ok(None) => return (all, None, at),
            Err(error) => return (all, Some(error), at),
        }
    }
}

/// The same when the bytes come in two pieces.
fn commands_cut(bytes: &[u8], cut: usize) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>, usize) {
    let (mut first, error, taken) = commands(&bytes[..cut], &KNOWN);
    if error.is_some() {
        return (first, error, taken);
    }
    let (rest, error, more) = commands(&bytes[taken..], &KNOWN);
    first.extend(rest);
    (first, error, taken + more)
}

const STREAMS: [&[u8]; 8] = [
    b"*5\r\n$11\r\nCL.THROTTLE\r\n$3\r\nann\r\n$2\r\n15\r\n$2\r\n30\r\n$2\r\n60\r\n*1\r\n$4\r\nPING\r\n",
    b"PING\r\n  CL.THROTTLE  ann 15 30 60 \n\r\n*0\r\n*-1\r\nQUIT\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*2\r\n$4\r\nECHO\r\n$6\r\n\r\n$1\r\n\r\n",
    b"*1\r\n:4\r\n",
    b"*1\r\n$4\r\nPINGxx",
    b"*99999999999999999999\r\n",
    b"*2\r\n$4\r\nECHO\r\n$5000\r\n",
    b"*1\r\n$-1\r\n",
];

#[test]
fn a_stream_means_the_same_commands_wherever_it_is_cut() {
    for stream in STREAMS {
        let whole = commands(stream, &KNOWN);
        for cut in 0..=stream.len() {
            assert_eq!(
                commands_cut(stream, cut),
                whole,
                "{cut} of {}",
                stream.escape_ascii()
            );
        }
    }
}

#[test]
fn commands_are_their_arguments() {
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let (first, error, _) = commands(STREAMS[0], &KNOWN);
    let expected: [Vec<Vec<u8>>; 2] = [
        words(&["CL.THROTTLE", "ann", "15", "30", "60"]),
        words(&["PING"]),
    ];
    assert_eq!((first.as_slice(), error), (&expected[..], None));
    let (inline, error, _) = commands(STREAMS[1], &KNOWN);
    let expected: [Vec<Vec<u8>>; 6] = [
        words(&["PING"]),
        words(&["CL.THROTTLE", "ann", "15", "30", "60"]),
        words(&[]),
        words(&[]),
        words(&[]),
        words(&["QUIT"]),
    ];
    assert_eq!((inline.as_slice(), error), (&expected[..], None));
    let (echoed, ..) = commands(STREAMS[2], &KNOWN);
    assert_eq!(
        echoed[1][1], b"\r\n$1\r\n",
        "a bulk string is what its length says"
    );
}

#[test]
fn what_is_no_command_is_said_as_redis_says_it() {
    let error = |stream: &[u8]| commands(stream, &KNOWN).1.map(|error| error.to_string());
    let expected = [
        (STREAMS[3], "expected '$', got ':'"),
        (STREAMS[4], "a bulk string does not end where it says"),
        (STREAMS[5], "invalid multibulk length"),
        (STREAMS[6], "invalid bulk length"),
        (STREAMS[7], "invalid bulk length"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*1\rx", "invalid multibulk length"),
        (b"*1\r\n\x00", "expected '$', got '?'"),
    ];
    for (stream, message) in expected {
        assert_eq!(
            error(stream).as_deref(),
            Some(message),
            "{}",
            stream.escape_ascii()
        );
    }
    let endless = vec![b'a'; KNOWN.bulk_bytes_max];
    assert_eq!(error(&endless[1..]), None);
    assert_eq!(error(&endless).as_deref(), Some("too big inline request"));
}

#[test]
fn a_command_is_never_larger_than_its_bound_and_a_stranger_has_less_room() {
    let command = |count: usize, size: usize| {
        let mut bytes = format!("*{count}\r\n").into_bytes();
        for _ in 0..count {
            bytes.extend_from_slice(format!("${size}\r\n{}\r\n", "a".repeat(size)).as_bytes());
        }
        bytes
    };
    let fits = |bytes: &[u8], bounds: &Bounds| commands(bytes, bounds).1.is_none();
    for bounds in [STRANGER, KNOWN] {
        let Bounds {
            args_max,
            bulk_bytes_max,
            command_bytes_max,
        } = bounds;
        assert!(fits(&command(args_max, 5), &bounds));
        assert!(!fits(&command(args_max + 1, 5), &bounds));
        assert!(fits(&command(2, bulk_bytes_max), &bounds));
        assert!(!fits(&command(2, bulk_bytes_max + 1), &bounds));
        let large = command(args_max, bulk_bytes_max);
        assert!(large.len() > command_bytes_max && !fits(&large, &bounds));
        assert!(
            !fits(&large[..=command_bytes_max], &bounds),
            "nor is more waited for"
        );
    }
    assert!(!fits(&command(2, STRANGER.bulk_bytes_max + 1), &STRANGER));
}

#[test]
fn random_bytes_end_and_take_no_memory() {
    let mut random = Random::new();
    let alphabet = b"*$0123456789-\r\n ab\x00\xff";
    for _ in 0..20_000 {
        let length = random.below(64) as usize;
        let letter = |random: &mut Random| alphabet[random.below(alphabet.len() as u64) as usize];
        let bytes: Vec<u8> = (0..length).map(|_| letter(&mut random)).collect();
        let mut args = Args::new();
        if let Ok(Some(taken)) = parse(&bytes, &KNOWN, &mut args) {
            assert!((1..=bytes.len()).contains(&taken));
        }
        assert!(args.len() <= KNOWN.args_max);
        assert!(
            args.iter()
                .all(|arg| arg.start <= arg.end && arg.end <= bytes.len())
        );
        let whole = commands(&bytes, &KNOWN);
        let cut = random.below(length as u64 + 1) as usize;
        assert_eq!(
            commands_cut(&bytes, cut),
            whole,
            "{cut} of {}",
            bytes.escape_ascii()
        );
    }
}
