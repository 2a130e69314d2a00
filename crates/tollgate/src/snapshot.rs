//! Saving the states of a [`MemoryStore`] and bringing them back, in a versioned format that survives a torn file.
//!
//! ```text
//! file    = "tollgate" version:u16 { record }
//! record  = length:u32 crc32:u32 payload            (little-endian; the sum is over the payload)
//! payload = 0 id:u32 version:u64 name quota          a policy; text is length:u32 bytes
//!         | 1 id:u32 key (0 a:u64 b:u64 | 1 count:u32 { at:u64 units:u64 })
//! ```
//!
//! Policies with an algorithm of one's own are not saved: the file could not say what their states mean.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::algorithm::{Entry, INTEGER_MAX, State};
use crate::decide::Stored;
use crate::memory::MemoryStore;
use crate::policy::Policy;

const MAGIC: &[u8; 8] = b"tollgate";
const VERSION: u16 = 1;
/// The longest record: a key of the greatest length with a full log is far below it.
const RECORD_BYTES_MAX: usize = 64 << 10;

/// Why states cannot be brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It is no snapshot.
    #[error("not a snapshot of tollgate's counters")]
    Foreign,
    /// It was written by a later version.
    #[error("a snapshot of format {0}, which is newer than this program knows")]
    Version(u16),
    /// It cannot be read.
    #[error("the snapshot cannot be read")]
    Read(#[from] io::Error),
}

/// What came back from a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// States that are in the store again.
    pub states: u64,
    /// Whether the file ended within a record or a record was damaged; what came before it is back.
    pub torn: bool,
}

impl MemoryStore {
    /// Writes every state. Decisions go on meanwhile; each shard is copied at one instant.
    ///
    /// # Errors
    /// What `out` reports.
    pub fn save(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut policies: HashMap<*const Policy, u32> = HashMap::new();
        // The policies are kept alive so that their addresses stay theirs.
        let mut kept: Vec<Arc<Policy>> = Vec::new();
        let mut records = Vec::new();
        self.for_each(|key, stored| {
            let Some(quota) = stored.policy.quota() else {
                return;
            };
            let id = *policies
                .entry(Arc::as_ptr(&stored.policy))
                .or_insert_with(|| {
                    let id = kept.len() as u32;
                    kept.push(Arc::clone(&stored.policy));
                    let mut payload = vec![0];
                    payload.extend_from_slice(&id.to_le_bytes());
                    payload.extend_from_slice(&stored.policy.version().to_le_bytes());
                    put_bytes(&mut payload, stored.policy.name().as_bytes());
                    put_bytes(&mut payload, quota.to_string().as_bytes());
                    put_record(&mut records, &payload);
                    id
                });
            put_record(&mut records, &cell_payload(id, key, &stored.state));
        });
        out.write_all(&records)?;
        out.flush()
    }

    /// Brings states back from what [`save`](MemoryStore::save) wrote. Each keeps the numbers it was made under
    /// until a check with newer ones meets it.
    ///
    /// # Errors
    /// A file that is no snapshot, or of a later format. A torn or damaged one is no error: what is whole comes back.
    pub fn restore(&self, mut from: impl Read) -> Result<Restored, SnapshotError> {
        let mut file = Vec::new();
        from.read_to_end(&mut file)?;
        let mut input = Input(&file);
        if input.take(MAGIC.len()) != Some(MAGIC) {
            return Err(SnapshotError::Foreign);
        }
        match input
            .take(2)
            .map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
        {
            Some(VERSION) => {}
            Some(version) => return Err(SnapshotError::Version(version)),
            None => {
                return Ok(Restored {
                    states: 0,
                    torn: true,
                });
            }
        }
        let mut policies = HashMap::new();
        let mut restored = Restored::default();
        while !input.0.is_empty() {
            let Some((record, sum)) = take_record(&mut input) else {
                restored.torn = true;
                break;
            };
            // A damaged record costs itself: its length tells where the next one begins.
            let whole = Some(record).filter(|record| crc32fast::hash(record) == sum);
            match whole.and_then(|record| read_payload(&mut Input(record), &policies)) {
                Some(Payload::Policy(id, policy)) => {
                    policies.insert(id, policy);
                }
                Some(Payload::Cell(key, stored)) => {
                    self.insert(key, stored);
                    restored.states += 1;
                }
                None => restored.torn = true,
            }
        }
        Ok(restored)
    }
}

enum Payload<'a> {
    Policy(u32, Arc<Policy>),
    Cell(&'a [u8], Stored),
}

fn cell_payload(id: u32, key: &[u8], state: &State) -> Vec<u8> {
    let mut payload = vec![1];
    payload.extend_from_slice(&id.to_le_bytes());
    put_bytes(&mut payload, key);
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
    payload
}

fn put_bytes(payload: &mut Vec<u8>, bytes: &[u8]) {
    payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    payload.extend_from_slice(bytes);
}

fn put_record(records: &mut Vec<u8>, payload: &[u8]) {
    records.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    records.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    records.extend_from_slice(payload);
}

/// The next record and its sum, or `None` where the file ends within it.
fn take_record<'a>(input: &mut Input<'a>) -> Option<(&'a [u8], u32)> {
    let length = input.u32()? as usize;
    let sum = input.u32()?;
    input
        .take(length)
        .filter(|_| length <= RECORD_BYTES_MAX)
        .map(|payload| (payload, sum))
}

fn read_payload<'a>(
    input: &mut Input<'a>,
    policies: &HashMap<u32, Arc<Policy>>,
) -> Option<Payload<'a>> {
    match input.take(1)? {
        [0] => {
            let (id, version) = (input.u32()?, input.u64()?);
            let name = std::str::from_utf8(input.bytes()?).ok()?;
            let quota = std::str::from_utf8(input.bytes()?).ok()?.parse().ok()?;
            let policy = Policy::new(name, quota).ok()?.with_version(version);
            Some(Payload::Policy(id, Arc::new(policy)))
        }
        [1] => {
            let policy = Arc::clone(policies.get(&input.u32()?)?);
            let key = input.bytes()?;
            let state = match input.take(1)? {
                [0] => State::Pair(input.small()?, input.small()?),
                [1] => {
                    let count = input.u32()?;
                    let entry = |input: &mut Input<'a>| {
                        Some(Entry {
                            at: input.small()?,
                            units: input.small()?,
                        })
                    };
                    State::Log((0..count).map(|_| entry(input)).collect::<Option<_>>()?)
                }
                _ => return None,
            };
            Some(Payload::Cell(key, Stored { policy, state }))
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

    /// A number that no algorithm overflows on.
    fn small(&mut self) -> Option<u64> {
        self.u64().filter(|number| *number <= 2 * INTEGER_MAX)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }
}
