//! Nanoseconds per decision, all limiters in turn in every round, so that a slow minute of the machine slows them all.

use rustix::time::{ClockId, clock_gettime};

use crate::keys::Key;
use crate::peer::Peer;
use crate::scale::Scale;
use crate::spread::{ROUNDS_MIN, Spread};
use crate::windows;
use crate::workload::{Distribution, Outcome, Random};

/// A limiter that loses more keys than one in so many is not measured: it does less than the others.
const LOST_ONE_IN: u64 = 1_000;

/// A limiter under the name that tables give it.
pub struct Contender<K: ?Sized> {
    pub name: &'static str,
    pub peer: Box<dyn Peer<K>>,
}

/// What is asked of all of them.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub keys: u64,
    pub outcome: Outcome,
    pub distribution: Distribution,
    pub threads: usize,
}

/// Nanoseconds per decision of each limiter in each round.
pub struct Timings(Vec<Row>);

struct Row {
    name: &'static str,
    /// `None` for a round in which nothing could be measured.
    rounds: Vec<Option<f64>>,
    /// Why all of it counts for nothing.
    void: Option<String>,
}

impl Timings {
    /// Of each limiter: name, and its time or why there is none.
    pub fn times(&self) -> impl Iterator<Item = (&'static str, Result<Spread, String>)> + '_ {
        self.0.iter().map(|row| (row.name, row.time()))
    }

    /// How many times as long `over` takes as `under`: the median of the rounds' own ratios.
    ///
    /// # Errors
    /// Why there is no such ratio.
    pub fn ratio(&self, over: &str, under: &str) -> Result<Spread, String> {
        let row = |name: &str| {
            self.0
                .iter()
                .find(|row| row.name == name)
                .ok_or(format!("{name} was not measured"))
        };
        let (over, under) = (row(over)?, row(under)?);
        if let Some(void) = over.void.as_ref().or(under.void.as_ref()) {
            return Err(void.clone());
        }
        let rounds = over.rounds.iter().zip(&under.rounds);
        enough(rounds.filter_map(|(over, under)| Some((*over)? / (*under)?)))
    }
}

impl Row {
    fn time(&self) -> Result<Spread, String> {
        match &self.void {
            Some(void) => Err(void.clone()),
            None => enough(self.rounds.iter().flatten().copied()),
        }
    }
}

fn enough(rounds: impl Iterator<Item = f64>) -> Result<Spread, String> {
    let spread = Spread::of(rounds).ok_or("no round could be measured")?;
    match spread.rounds {
        ROUNDS_MIN.. => Ok(spread),
        few => Err(format!(
            "only {few} rounds could be measured, {ROUNDS_MIN} are needed"
        )),
    }
}

/// Measures limiters that are filled. The first round only warms up.
pub fn interleaved<K: Key + ?Sized>(
    contenders: &[Contender<K>],
    cell: Cell,
    scale: &Scale,
) -> Timings {
    let row = |contender: &Contender<K>| Row {
        name: contender.name,
        rounds: Vec::new(),
        void: None,
    };
    let mut rows: Vec<Row> = contenders.iter().map(row).collect();
    let lost_before: Vec<u64> = contenders
        .iter()
        .map(|contender| contender.peer.lost())
        .collect();
    for round in 0..=scale.rounds {
        let stores: Vec<K::Store> = (0..cell.threads)
            .map(|thread| {
                let mut random = Random::new(scale.seed, (round * cell.threads + thread) as u64);
                K::store(&random.draw(cell.distribution, cell.keys, scale.decisions))
            })
            .collect();
        let streams: Vec<Vec<&K>> = stores.iter().map(K::cut).collect();
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            let (peer, row) = (contenders[index].peer.as_ref(), &mut rows[index]);
            let sample = match streams.as_slice() {
                [stream] => one_thread(peer, stream, cell.outcome).map(Some),
                [first, second, ..] => {
                    windows::two_threads(peer, [first, second], cell.outcome, scale)
                }
                [] => Ok(None),
            };
            match sample {
                Ok(nanos) if round > 0 => row.rounds.push(nanos),
                Ok(_) => {}
                Err(error) => row.void = Some(error),
            }
        }
    }
    for ((contender, row), before) in contenders.iter().zip(&mut rows).zip(lost_before) {
        let lost = contender.peer.lost() - before;
        if lost > cell.keys.div_ceil(LOST_ONE_IN) {
            row.void = Some(format!(
                "{} lost keys {lost} times, of {}",
                row.name, cell.keys
            ));
        }
    }
    Timings(rows)
}

fn one_thread<K: ?Sized>(peer: &dyn Peer<K>, keys: &[&K], outcome: Outcome) -> Result<f64, String> {
    let started = thread_nanos();
    let passed = peer.hits(keys);
    let nanos = thread_nanos() - started;
    match outcome.holds(passed, keys.len()) {
        true => Ok(nanos as f64 / keys.len() as f64),
        false => Err(format!(
            "{passed} of {} passed where they are to be {}",
            keys.len(),
            outcome.name()
        )),
    }
}

/// Nanoseconds that this thread has run.
fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
