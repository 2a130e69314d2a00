//! Ending what is older than usage is kept, a bounded step at a time.

use std::time::Duration;

use tollgate::Micros;

use super::{Step, Usage};
use crate::error::Unavailable;

/// How long it is known what a process has written that writes no more. A batch that is in doubt for longer is written
/// again.
const WRITER_KEPT: Duration = Duration::from_secs(30 * 86_400);

impl Usage {
    /// Deletes what is older than it is to be kept, up to a bound of work; true when there may be more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune(&self, now: Micros) -> Result<bool, Unavailable> {
        let mut more = false;
        for step in Step::ALL {
            // A step goes when all of it is old.
            let older_than = step.start_of(Micros(now.0.saturating_sub(micros(self.kept(step)))));
            let counts = self
                .db
                .delete_past(step.table(), "bucket_start <", older_than);
            more |= counts.await?;
            // The names of tables and columns are ours; only values are values.
            let of_step = format!("step_s = {} AND bucket_start <", step.as_secs());
            let denials = self.db.delete_past("usage_denials", &of_step, older_than);
            more |= denials.await?;
        }
        let gone = Micros(now.0.saturating_sub(micros(WRITER_KEPT)));
        let writers = self.db.delete_past("usage_writers", "written_at <", gone);
        more |= writers.await?;
        Ok(more)
    }

    fn kept(&self, step: Step) -> Duration {
        match step {
            Step::Minute => self.kept.minutes,
            Step::Hour => self.kept.hours,
            Step::Day => self.kept.days,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
