//! What scripts are asked: the cells of a request as keys and arguments.

use std::sync::Arc;

use tollgate::algorithm::INTEGER_MAX;
use tollgate::decide::Stored;
use tollgate::{Check, Micros, Mode, Policy, Reason, Receipt, decide};

use crate::keys::KeyNames;
use crate::scripts::Kinds;
use crate::value;

/// What scripts are told of a cost beyond all: no policy holds so much, and it is exact in doubles.
const BEYOND: u64 = INTEGER_MAX + 2;
/// The latest instant of a caller's that scripts are told, in the year 2112: what is a century later is exact, too.
const LATEST: u64 = INTEGER_MAX / 2;
/// Arguments before those of the cells, and of each cell: see `scripts/prelude.lua`.
const FIRST: usize = 1;
const EACH: usize = 2;
/// Bytes of the six integers of a cell.
const PACKED: usize = 6 * 7;
/// The flag of a penalty's cell.
const PENALTY: u64 = 8;
/// Ends of a calendar's windows that a script is given to choose from, at most.
const ENDS_MAX: usize = 8;

/// A check that outlives its caller.
#[derive(Clone, Debug)]
struct Owned {
    policy: Arc<Policy>,
    key: Box<[u8]>,
    cost: u64,
}

/// A request's checks, and its cells as scripts know them.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    checks: Vec<Owned>,
    /// The policies of all cells.
    policies: Vec<Arc<Policy>>,
    /// The version of each cell's policy: its own, or that of the rules of this node.
    versions: Vec<u64>,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) kinds: Kinds,
}

impl Question {
    /// The question about `checks`, and about their penalties if these have a part in it, on a node whose rules are of a
    /// version.
    ///
    /// # Errors
    /// [`Reason::Uncountable`] for an algorithm of one's own. [`Reason::KeysApart`] where all keys must be of `one_slot`
    /// and are not.
    pub(crate) fn new(
        names: &KeyNames,
        checks: &[Check<'_>],
        with_penalties: bool,
        tag: Option<&[u8]>,
        one_slot: bool,
        version: u64,
    ) -> Result<Self, Reason> {
        let apart = |other: &Check<'_>| other.key != checks[0].key;
        if one_slot && tag.is_none() && checks.iter().any(apart) {
            return Err(Reason::KeysApart);
        }
        let cells = match with_penalties {
            true => decide::cells(checks),
            false => checks.iter().copied().collect(),
        };
        let mut question = Question {
            checks: checks.iter().map(Owned::new).collect(),
            policies: cells.iter().map(|cell| Arc::clone(cell.policy)).collect(),
            versions: cells
                .iter()
                .map(|cell| cell.policy.version().max(version))
                .collect(),
            keys: cells.iter().map(|cell| names.of(cell, tag)).collect(),
            arguments: Vec::with_capacity(FIRST + EACH * cells.len() + 3),
            kinds: Kinds::default(),
        };
        question.arguments.push(Vec::new());
        for (place, cell) in cells.iter().enumerate() {
            let flags = match (with_penalties, place < checks.len()) {
                (false, _) => 0,
                (true, true) => flags(cell.policy),
                (true, false) => PENALTY,
            };
            question.push_cell(cell, question.versions[place], flags)?;
        }
        Ok(question)
    }

    fn push_cell(&mut self, cell: &Check<'_>, version: u64, flags: u64) -> Result<(), Reason> {
        let numbers = cell.policy.numbers().ok_or(Reason::Uncountable)?;
        let (letter, integers) = value::integers(&numbers).ok_or(Reason::Uncountable)?;
        self.kinds.insert(letter);
        self.push(value::head(cell.policy, version).ok_or(Reason::Uncountable)?);
        let mut packed = Vec::with_capacity(PACKED);
        let all = [flags, cell.cost.min(BEYOND)].into_iter().chain(integers);
        all.for_each(|integer| packed.extend_from_slice(&integer.to_be_bytes()[1..]));
        self.arguments.push(packed);
        Ok(())
    }

    fn push(&mut self, argument: impl ToString) {
        self.arguments.push(argument.to_string().into_bytes());
    }

    /// With the latest instant to reserve for.
    pub(crate) fn until(mut self, until: Micros) -> Self {
        self.push(until.0.min(INTEGER_MAX));
        self
    }

    /// Asks for units in advance as well, for each check.
    pub(crate) fn want(&mut self, wanted: &[u64]) {
        for (place, units) in wanted.iter().enumerate() {
            let terms = self.checks[place].policy.lease_terms();
            let micros = terms.map_or(0, |terms| terms.time.as_micros());
            self.push(units);
            self.push(micros);
        }
    }

    /// With what was charged.
    pub(crate) fn charged(mut self, receipt: &Receipt) -> Self {
        for place in 0..self.checks.len() {
            let charge = receipt.charges().get(place).copied().unwrap_or_default();
            // Only a bucket's second mark has a meaning, and it is small.
            let (a, b) = charge.mark;
            [charge.cost.min(BEYOND), a.min(BEYOND), b.min(BEYOND)]
                .into_iter()
                .for_each(|number| self.push(number));
        }
        self
    }

    /// At an instant of the caller's, instead of the server's.
    pub(crate) fn at(&mut self, now: Micros) {
        self.arguments[0] = now.0.min(LATEST).to_string().into_bytes();
    }

    /// At the server's own instant, but not after `latest` by its clock.
    pub(crate) fn not_after(&mut self, latest: Option<Micros>) {
        let latest = latest.map(|latest| format!("-{}", latest.0.clamp(1, LATEST)));
        self.arguments[0] = latest.unwrap_or_default().into_bytes();
    }

    /// Whether it asks for slots, which somebody has to give back.
    pub(crate) fn is_about_slots(&self) -> bool {
        let mut checks = self.checks.iter();
        checks.any(|check| check.cost > 0 && check.policy.holds_slots())
    }

    /// The question that gives back what was charged to the same checks.
    pub(crate) fn to_give_back(&self, receipt: &Receipt) -> Self {
        let checks = self.checks.len();
        let mut question = Question {
            checks: self.checks.clone(),
            policies: self.policies[..checks].to_vec(),
            versions: self.versions[..checks].to_vec(),
            keys: self.keys[..checks].to_vec(),
            arguments: self.arguments[..FIRST + EACH * checks].to_vec(),
            kinds: self.kinds,
        };
        question.arguments = question.arguments_at_any_time();
        question.charged(receipt)
    }

    /// The arguments without a latest instant.
    pub(crate) fn arguments_at_any_time(&self) -> Vec<Vec<u8>> {
        let mut arguments = self.arguments.clone();
        if arguments[0].first() == Some(&b'-') {
            arguments[0].clear();
        }
        arguments
    }

    /// With the ends of the calendar's windows around `now`.
    pub(crate) fn with_windows_around(&mut self, now: Micros) {
        for (place, policy) in self.policies.iter().enumerate() {
            if let Some(ends) = ends_around(policy, now) {
                let packed = &mut self.arguments[FIRST + EACH * place + EACH - 1];
                packed.truncate(PACKED);
                packed.extend_from_slice(ends.as_bytes());
            }
        }
    }

    /// The policies of all cells, those of the checks and then those of their penalties, and the version of each.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (&Arc<Policy>, u64)> {
        self.policies.iter().zip(self.versions.iter().copied())
    }

    /// Whether one of the states decides by other numbers than its policy's, because it was written under newer rules.
    pub(crate) fn is_governed(&self, found: &[Option<Stored>]) -> bool {
        let governs = |(policy, stored): (&Arc<Policy>, &Option<Stored>)| {
            stored.as_ref().is_some_and(|stored| {
                stored.policy.version() > policy.version()
                    && stored.policy.numbers() != policy.numbers()
            })
        };
        self.policies.iter().zip(found).any(governs)
    }

    /// The checks.
    pub(crate) fn checks(&self) -> Vec<Check<'_>> {
        self.checks.iter().map(Owned::check).collect()
    }
}

impl Owned {
    fn new(check: &Check<'_>) -> Self {
        Owned {
            policy: Arc::clone(check.policy),
            key: check.key.into(),
            cost: check.cost,
        }
    }

    fn check(&self) -> Check<'_> {
        Check {
            policy: &self.policy,
            key: &self.key,
            cost: self.cost,
        }
    }
}

fn flags(policy: &Policy) -> u64 {
    let watches = policy.mode() == Mode::Shadow;
    // Who only watches counts nothing that is denied.
    let counts = policy.counts_denied() && !watches;
    let flags = [(watches, 1), (counts, 2), (policy.penalty().is_some(), 4)];
    flags
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, flag)| flag)
        .sum()
}

/// The ends of the windows from two before `now` until beyond the next, for a server whose clock says something else.
fn ends_around(policy: &Policy, now: Micros) -> Option<String> {
    let window = policy.window()?;
    let two = u64::try_from(window.as_micros()).ok()?.saturating_mul(2);
    let mut at = Micros(now.0.saturating_sub(two));
    let mut ends = String::new();
    if at.0 == 0 {
        ends.push('0');
    }
    for _ in 0..ENDS_MAX {
        at = policy.calendar_window_end(at)?;
        ends.push(' ');
        ends.push_str(&at.0.to_string());
        if at > now + window {
            break;
        }
    }
    Some(ends)
}
