//! Saving the states of a [`MemoryStore`] and bringing them back, in a versioned format that survives a torn file.
//!
//! ```text
//! file    = "tollgate" version:u16 { record }
//! record  = length:u32 crc32:u32 payload            (little-endian; the sum is over the payload)
//! payload = 2 hash:u8 seed:u64 seed:u64 sample:u64   how fingerprints are made; the first record
//!         | 0 id:u32 version:u64 name quota          a policy; text is length:u32 bytes
//!         | 1 { state }                              states of policies that came before
//!         | 3 id:u32 version:u64 name weight:u64 block:u64 block_max:u64 quiet:u64 factor:u32
//!                                                    the policy of a penalty's blocks; times in microseconds
//! state   = id:u32 fingerprint:u64 (0 a:u64 b:u64 | 1 count:u32 { at:u64 units:u64 })
//! ```
//!
//! A file of version 2 has no penalties, and is read as well. Keys themselves are not in it. Policies with an algorithm of one's own are not saved: the file could not say what
//! their states mean. The file holds the secret that keys are hashed with.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::algorithm::{Entry, INTEGER_MAX, State};
use crate::decide::Stored;
use crate::memory::{KeyHash, MemoryBuilder, MemoryStore};
use crate::penalty::Penalty;
use crate::policy::Policy;
use crate::time::{Micros, micros};

const MAGIC: &[u8; 8] = b"tollgate";
const VERSION: u16 = 3;
const OLDEST_VERSION: u16 = 2;
const POLICY: u8 = 0;
const STATES: u8 = 1;
const HASH: u8 = 2;
const BLOCKS: u8 = 3;
/// What an instant of a state and its counts are at most: two refills of 2^53 ticks ahead of the latest reading.
const SMALL_MAX: u64 = 3 * INTEGER_MAX;
/// A record of states is written when it is this long.
const RECORD_BYTES: usize = 4 << 10;
/// The longest record: one of states, with a log of the greatest length at its end.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// Why states cannot be brought back.
///
/// ```
/// use tollgate::{MemoryStore, Micros, SnapshotError};
///
/// let restored = MemoryStore::builder().restore(&b"something else"[..], Micros::from_secs(0));
/// assert!(matches!(restored, Err(SnapshotError::Foreign)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It is no snapshot.
    #[error("not a snapshot of tollgate's counters")]
    Foreign,
    /// It was written in another format.
    #[error("a snapshot of format {0}, which this program does not read")]
    Version(u16),
    /// It was written by a build that hashes keys in another way.
    #[error("the snapshot's keys were hashed in a way that this program does not know")]
    Hash,
    /// It cannot be read.
    #[error("the snapshot cannot be read")]
    Read(#[from] io::Error),
}

/// What came back from a snapshot.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::{Clock, Limiter, MemoryStore, Quota, SystemClock};
///
/// let store = Arc::new(MemoryStore::new());
/// let limiter = Limiter::builder().quotas(Quota::per_hour(5)?).store(store.clone()).build()?;
/// assert!(limiter.check("ann").is_allowed());
/// let mut file = Vec::new();
/// store.save(&mut file)?;
/// let (_store, restored) = MemoryStore::builder().restore(&file[..], SystemClock::new().now())?;
/// assert_eq!((restored.states, restored.torn), (1, false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// States that are in the store again.
    pub states: u64,
    /// Whether the file ended within a record or a record was damaged; what is whole is back.
    pub torn: bool,
}

impl MemoryStore {
    /// Writes every state. Decisions go on meanwhile; each state is copied at one instant.
    /// [`MemoryBuilder::restore`] reads it.
    ///
    /// # Errors
    /// What `out` reports.
    pub fn save(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        put_record(&mut out, &hash_payload(self))?;
        let mut ids: HashMap<*const Policy, u32> = HashMap::new();
        // The policies are kept alive so that their addresses stay theirs.
        let mut kept: Vec<Arc<Policy>> = Vec::new();
        let mut states = vec![STATES];
        self.try_for_each(|fingerprint, stored| {
            let id = match ids.get(&Arc::as_ptr(&stored.policy)) {
                Some(id) => *id,
                None => {
                    let id = kept.len() as u32;
                    let Some(payload) = policy_payload(id, &stored.policy) else {
                        return Ok(());
                    };
                    ids.insert(Arc::as_ptr(&stored.policy), id);
                    kept.push(Arc::clone(&stored.policy));
                    put_record(&mut out, &payload)?;
                    id
                }
            };
            if is_small(&stored.state) {
                put_state(&mut states, id, fingerprint, &stored.state);
            }
            if states.len() >= RECORD_BYTES {
                put_record(&mut out, &states)?;
                states.truncate(1);
            }
            io::Result::Ok(())
        })?;
        if states.len() > 1 {
            put_record(&mut out, &states)?;
        }
        out.flush()
    }
}

impl MemoryBuilder {
    /// The store, with the states of a snapshot in it that [`MemoryStore::save`] wrote. Each keeps the numbers it was
    /// made under until a check with newer ones meets it. `now` tells which states still mean something.
    ///
    /// # Errors
    /// A file that is no snapshot, or of a later format. A torn or damaged one is no error: what is whole comes back.
    pub fn restore(
        self,
        mut from: impl Read,
        now: Micros,
    ) -> Result<(MemoryStore, Restored), SnapshotError> {
        let mut magic = [0; MAGIC.len()];
        read_up_to(&mut from, &mut magic)?;
        if magic != *MAGIC {
            return Err(SnapshotError::Foreign);
        }
        let mut version = [0; 2];
        let whole_version = read_up_to(&mut from, &mut version)? == version.len();
        let version = u16::from_le_bytes(version);
        if whole_version && !(OLDEST_VERSION..=VERSION).contains(&version) {
            return Err(SnapshotError::Version(version));
        }
        let mut restored = Restored::default();
        let mut record = Vec::new();
        let hash = match next_record(&mut from, &mut record)? {
            Next::Whole => read_hash(&mut Input(&record)),
            Next::Damaged | Next::Torn | Next::End => None,
        };
        let Some((kind, seed, sample)) = hash else {
            restored.torn = true;
            return Ok((self.build(), restored));
        };
        let store = self.with_hash(kind, seed);
        if store.hash().2 != sample {
            return Err(SnapshotError::Hash);
        }
        let mut policies = HashMap::new();
        loop {
            let states = match next_record(&mut from, &mut record)? {
                Next::Whole => read_record(&record, &mut policies, &store, now),
                // A damaged record costs itself: its length tells where the next one begins.
                Next::Damaged => None,
                Next::Torn => {
                    restored.torn = true;
                    return Ok((store, restored));
                }
                Next::End => return Ok((store, restored)),
            };
            match states {
                Some(states) => restored.states += states,
                None => restored.torn = true,
            }
        }
    }
}

/// Takes in a record's policy or states, and tells how many states that were.
fn read_record(
    record: &[u8],
    policies: &mut HashMap<u32, Arc<Policy>>,
    store: &MemoryStore,
    now: Micros,
) -> Option<u64> {
    let mut input = Input(record);
    match *input.take(1)? {
        [POLICY] => {
            let (id, policy) = read_policy(&mut input)?;
            policies.insert(id, policy);
            Some(0)
        }
        [BLOCKS] => {
            let (id, policy) = read_blocks(&mut input)?;
            policies.insert(id, policy);
            Some(0)
        }
        [STATES] => {
            let mut states = 0;
            while !input.0.is_empty() {
                let policy = policies.get(&input.u32()?).map(Arc::clone)?;
                let fingerprint = input.u64()?;
                let state = read_state(&mut input)?;
                let stored = Stored { policy, state };
                states += u64::from(store.insert(fingerprint, stored, now));
            }
            Some(states)
        }
        _ => None,
    }
}

fn hash_payload(store: &MemoryStore) -> Vec<u8> {
    let (kind, seed, sample) = store.hash();
    let mut payload = vec![HASH, u8::from(kind == KeyHash::Strong)];
    for number in [seed[0], seed[1], sample] {
        payload.extend_from_slice(&number.to_le_bytes());
    }
    payload
}

fn read_hash(input: &mut Input<'_>) -> Option<(KeyHash, [u64; 2], u64)> {
    let kind = match *input.take(2)? {
        [HASH, 0] => KeyHash::Fast,
        [HASH, 1] => KeyHash::Strong,
        _ => return None,
    };
    Some((kind, [input.u64()?, input.u64()?], input.u64()?))
}

/// `None` for a policy whose states the file could not explain.
fn policy_payload(id: u32, policy: &Policy) -> Option<Vec<u8>> {
    match (policy.counted_blocks(), policy.quota()) {
        (Some(blocks), _) => {
            let mut payload = payload_of(BLOCKS, id, policy);
            let penalty = blocks.penalty();
            let times = [penalty.block(), penalty.block_max(), penalty.quiet()].map(micros);
            for number in [blocks.weight()].into_iter().chain(times) {
                payload.extend_from_slice(&number.to_le_bytes());
            }
            payload.extend_from_slice(&penalty.factor().to_le_bytes());
            Some(payload)
        }
        (None, Some(quota)) => {
            let mut payload = payload_of(POLICY, id, policy);
            put_bytes(&mut payload, quota.to_string().as_bytes());
            Some(payload)
        }
        (None, None) => None,
    }
}

/// What the payloads of policies begin with.
fn payload_of(kind: u8, id: u32, policy: &Policy) -> Vec<u8> {
    let mut payload = vec![kind];
    payload.extend_from_slice(&id.to_le_bytes());
    payload.extend_from_slice(&policy.version().to_le_bytes());
    put_bytes(&mut payload, policy.name().as_bytes());
    payload
}

/// Whether a state can be read back. One that is void and of other numbers than its policy's may not be.
fn is_small(state: &State) -> bool {
    match state {
        State::Pair(a, _) => *a <= SMALL_MAX,
        State::Log(entries) => entries
            .iter()
            .all(|entry| entry.at <= SMALL_MAX && entry.units <= SMALL_MAX),
    }
}

fn put_state(payload: &mut Vec<u8>, id: u32, fingerprint: u64, state: &State) {
    payload.extend_from_slice(&id.to_le_bytes());
    payload.extend_from_slice(&fingerprint.to_le_bytes());
    match state {
        State::Pair(a, b) => {
            payload.push(0);
            payload.extend_from_slice(&a.to_le_bytes());
            payload.extend_from_slice(&b.to_le_bytes());
        }
        State::Log(entries) => {
            payload.push(1);
            payload.extend_from_slice(&(entries.len() as u32).to_le_bytes());
            for entry in entries {
                payload.extend_from_slice(&entry.at.to_le_bytes());
                payload.extend_from_slice(&entry.units.to_le_bytes());
            }
        }
    }
}

fn put_bytes(payload: &mut Vec<u8>, bytes: &[u8]) {
    payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    payload.extend_from_slice(bytes);
}

fn put_record(out: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    out.write_all(&(payload.len() as u32).to_le_bytes())?;
    out.write_all(&crc32fast::hash(payload).to_le_bytes())?;
    out.write_all(payload)
}

/// What comes next in a file.
enum Next {
    Whole,
    Damaged,
    /// The file ends within it, or its length cannot be.
    Torn,
    End,
}

/// Reads the next record, so that no more than one is in memory.
fn next_record(from: &mut impl Read, record: &mut Vec<u8>) -> io::Result<Next> {
    let mut header = [0; 8];
    match read_up_to(from, &mut header)? {
        0 => return Ok(Next::End),
        8 => {}
        _ => return Ok(Next::Torn),
    }
    let [a, b, c, d, sum @ ..] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > RECORD_BYTES_MAX {
        return Ok(Next::Torn);
    }
    record.resize(length, 0);
    if read_up_to(from, record)? < length {
        return Ok(Next::Torn);
    }
    match crc32fast::hash(record) == u32::from_le_bytes(sum) {
        true => Ok(Next::Whole),
        false => Ok(Next::Damaged),
    }
}

/// Fills the buffer as far as there is anything to read, and tells how far.
fn read_up_to(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn read_policy(input: &mut Input<'_>) -> Option<(u32, Arc<Policy>)> {
    let (id, version) = (input.u32()?, input.u64()?);
    let name = std::str::from_utf8(input.bytes()?).ok()?;
    let quota = std::str::from_utf8(input.bytes()?).ok()?;
    let policy = Policy::new(name, quota.parse().ok()?).ok()?;
    Some((id, Arc::new(policy.with_version(version))))
}

fn read_blocks(input: &mut Input<'_>) -> Option<(u32, Arc<Policy>)> {
    let (id, version) = (input.u32()?, input.u64()?);
    let name = std::str::from_utf8(input.bytes()?).ok()?;
    let weight = input.u64()?;
    let mut time = || Some(Duration::from_micros(input.u64()?));
    let (block, block_max, quiet) = (time()?, time()?, time()?);
    let penalty = Penalty::new(block)
        .growing(input.u32()?, block_max)
        .forgiven_after(quiet);
    let policy = Policy::of_blocks(name, penalty, weight).ok()?;
    Some((id, Arc::new(policy.with_version(version))))
}

fn read_state(input: &mut Input<'_>) -> Option<State> {
    match *input.take(1)? {
        [0] => Some(State::Pair(input.small()?, input.u64()?)),
        [1] => {
            let entry = |input: &mut Input<'_>| {
                Some(Entry {
                    at: input.small()?,
                    units: input.small()?,
                })
            };
            let count = input.u32()?;
            let log = (0..count).map(|_| entry(input)).collect::<Option<_>>()?;
            Some(State::Log(log))
        }
        _ => None,
    }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// A number that is an instant or a count.
    fn small(&mut self) -> Option<u64> {
        self.u64().filter(|number| *number <= SMALL_MAX)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::Log;

    #[test]
    fn a_policy_of_blocks_is_read_back_with_what_its_states_weigh() {
        let penalty = Penalty::new(Duration::from_secs(60));
        let policy = Policy::of_blocks("p penalty", penalty, 7).unwrap();
        let policy = policy.with_version(3);
        let payload = policy_payload(5, &policy).unwrap();
        let (id, back) = read_blocks(&mut Input(&payload[1..])).unwrap();
        assert_eq!((id, back.meaning()), (5, policy.meaning()));
    }

    #[test]
    fn a_snapshot_whose_keys_were_hashed_in_another_way_is_refused() {
        let mut payload = hash_payload(&MemoryStore::new());
        // The sample stands at the end.
        *payload.last_mut().unwrap() ^= 1;
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&VERSION.to_le_bytes());
        put_record(&mut file, &payload).unwrap();
        let restored = MemoryStore::builder().restore(&file[..], Micros::from_secs(0));
        assert!(matches!(restored, Err(SnapshotError::Hash)));
    }

    #[test]
    fn a_state_is_saved_exactly_if_it_can_be_read_back() {
        let log = |at, units| {
            let entries = [Entry { at: 1, units: 1 }, Entry { at, units }];
            State::Log(Log::from_slice(&entries))
        };
        let edges = [0, SMALL_MAX, SMALL_MAX + 1, u64::MAX];
        for (a, b) in edges.into_iter().flat_map(|a| edges.map(|b| (a, b))) {
            for state in [State::Pair(a, b), log(a, b)] {
                let mut payload = Vec::new();
                put_state(&mut payload, 1, 2, &state);
                let mut input = Input(&payload);
                assert_eq!((input.u32(), input.u64()), (Some(1), Some(2)));
                let back = read_state(&mut input);
                assert_eq!(back, is_small(&state).then_some(state));
            }
        }
    }
}
