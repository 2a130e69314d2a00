//! The commands that ask a running gateway about limits: `limit`, `plan` and `audit`.

use clap::{ArgGroup, Subcommand};

use super::DataArgs;

#[derive(clap::Args)]
pub(crate) struct LimitArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(subcommand)]
    pub(crate) command: LimitCommand,
}

#[derive(Subcommand)]
pub(crate) enum LimitCommand {
    /// All limits, with the quotas that hold instead of the rules'.
    List,
    /// Put other quotas in the place of those of the rules, at once.
    Set {
        /// The limit's name.
        limit: String,
        /// The quotas, like "20 per second; 1000 per hour".
        quotas: String,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Take such quotas away again.
    Unset {
        /// The limit's name.
        limit: String,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// What a key has used and has left. Nothing is charged.
    Show {
        /// The limit's name.
        limit: String,
        /// The key, one word for each of its parts: a user's name, an address, a value.
        key: Vec<String>,
        /// The id of an API key that may have quotas of its own.
        #[arg(long = "key", value_name = "ID")]
        api_key: Option<String>,
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Forget what a key has used, or what every key has.
    #[command(
        override_usage = "tollgate limit reset [OPTIONS] <LIMIT> <KEY...|--all>",
        group = ArgGroup::new("whose").args(["key", "all"]).required(true),
    )]
    Reset {
        /// The limit's name.
        limit: String,
        /// The key, one word for each of its parts.
        key: Vec<String>,
        /// The id of an API key that may have quotas of its own.
        #[arg(long = "key", value_name = "ID")]
        api_key: Option<String>,
        /// Every key.
        #[arg(long, conflicts_with = "api_key")]
        all: bool,
    },
}

/// Whom quotas are for; everybody, if nothing is said.
#[derive(clap::Args)]
#[group(multiple = false)]
pub(crate) struct ScopeArgs {
    /// For users who have this plan.
    #[arg(long, value_name = "NAME")]
    pub(crate) plan: Option<String>,
    /// For this user.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// For the API key with this id alone, which then counts apart from its user.
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(subcommand)]
    pub(crate) command: PlanCommand,
}

#[derive(Subcommand)]
pub(crate) enum PlanCommand {
    /// All plans, with their quotas.
    List,
    /// Make a plan.
    Create {
        /// Its name.
        plan: String,
    },
    /// Delete a plan that nobody has.
    Delete {
        /// Its name.
        plan: String,
    },
    /// Give the plan other quotas for a limit.
    Set {
        /// The plan's name.
        plan: String,
        /// The limit's name.
        limit: String,
        /// The quotas, like "20 per second; 1000 per hour".
        quotas: String,
    },
    /// Take them away again.
    Unset {
        /// The plan's name.
        plan: String,
        /// The limit's name.
        limit: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Go on before the change of this number.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) before: Option<i64>,
    /// How many changes, at most 1000.
    #[arg(long, default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
}
