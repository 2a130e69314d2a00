//! A key's own quota: as text in the database, as a policy on a request's path.

use tollgate::{Policy, PolicyError, Quota};

/// Reads what [`Quota`]'s `Display` wrote.
pub(crate) fn read(text: &str) -> sqlx::Result<Quota> {
    text.parse()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// The policy of an API key's own quota: `own.<window>`, such as `own.minute`.
///
/// # Errors
/// As [`Policy::new`].
pub fn own_policy(quota: Quota) -> Result<Policy, PolicyError> {
    Policy::new(&format!("own.{}", quota.window_name()), quota)
}
