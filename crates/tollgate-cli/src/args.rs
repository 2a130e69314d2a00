//! The command line. Every flag of `serve` can also be given as an environment variable.

mod address;
mod limits;
mod service;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::presets::Preset;
use address::address;
pub(crate) use limits::{AuditArgs, LimitArgs, LimitCommand, PlanArgs, PlanCommand, ScopeArgs};
pub(crate) use service::ServiceArgs;

const EXAMPLES: &str = "\
Examples:
  tollgate serve                                          the number API behind accounts, on port 8000
  tollgate serve --preset per-api-key                     another of the five systems
  tollgate serve --upstream http://127.0.0.1:9000 --limit \"100 per minute by client-ip\"
                                                          a limited proxy, without a file
  tollgate init && $EDITOR tollgate.toml && tollgate serve
                                                          rules of your own
  tollgate serve --resp 127.0.0.1:6380                    decisions for other programs, over Redis's protocol
  tollgate serve --grpc 127.0.0.1:8081 --envoy-config ratelimit.yaml
                                                          decisions for Envoy, by its own configuration
  tollgate limit show per-user ann                        what ann has left";

/// A rate limiter: an API gateway with accounts, API keys and exact limits, in one binary.
#[derive(Parser)]
#[command(name = "tollgate", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How log lines are written: to people or to programs. They go to standard error.
    #[arg(long, global = true, env = "TOLLGATE_LOG", default_value = "text")]
    pub(crate) log: LogFormat,
    /// From which level on they are written.
    #[arg(
        long,
        global = true,
        env = "TOLLGATE_LOG_LEVEL",
        default_value = "info"
    )]
    pub(crate) log_level: LogLevel,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogLevel {
    /// What did not work.
    Error,
    /// And what to look at.
    Warn,
    /// And refusals, and every request where the rules say so.
    Info,
    /// And why single connections ended, or an upstream could not be reached.
    Debug,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the gateway.
    Serve(ServeArgs),
    /// Write the rules of a preset to ./tollgate.toml, to start from.
    Init {
        /// Which of the five.
        #[arg(default_value = "random-number")]
        preset: Preset,
    },
    /// Check a rules file: exit code 0 if it is right, 2 with every mistake shown if not.
    Validate {
        /// The rules file; one whose name ends with .yaml or .yml is one of Envoy's rate-limit service.
        #[arg(default_value = "tollgate.toml")]
        file: PathBuf,
    },
    /// Write a file of Envoy's rate-limit service as a section of a rules file, with what it means differently there.
    Convert {
        /// The file, in YAML.
        file: PathBuf,
    },
    /// Users: make, list, disable, change a password, give a role or a plan.
    User(UserArgs),
    /// API keys: make, list, revoke, rotate.
    Key(KeyArgs),
    /// Bring the tables of the accounts up to date, as `serve` does at its start, and say what was done.
    Migrate(AccountsArgs),
    /// Keys that sign tokens, and ending a token.
    Token(TokenArgs),
    /// Limits of a running gateway: list, set other quotas; show or reset counters.
    Limit(LimitArgs),
    /// Plans of a running gateway: make, list, delete, set their quotas.
    Plan(PlanArgs),
    /// What has been changed in a running gateway's accounts, and by whom.
    Audit(AuditArgs),
    /// What goes on in a running gateway, live in this terminal.
    Top(TopArgs),
    /// Start the number API alone, with its documentation at /docs.
    DemoApi {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:8000", value_parser = address)]
        listen: SocketAddr,
    },
    /// Print what completes these commands in a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Ask a running gateway whether it is ready: exit code 0 if so.
    Health {
        #[command(flatten)]
        data: DataArgs,
    },
}

/// The data directory, where nothing says otherwise.
pub(crate) const USUAL_DATA: &str = "tollgate-data";

/// Where a gateway keeps what it must not forget.
#[derive(clap::Args, Clone)]
pub(crate) struct DataArgs {
    /// Directory for the database, saved counters, secrets and the admin socket.
    #[arg(
        long,
        global = true,
        env = "TOLLGATE_DATA",
        default_value = USUAL_DATA,
        value_name = "DIR"
    )]
    pub(crate) data: PathBuf,
}

/// A data directory and the accounts in it.
#[derive(clap::Args, Clone)]
pub(crate) struct AccountsArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// The database, instead of `sqlite:tollgate.db` in the data directory: `sqlite:FILE`, or `postgres:` or `mysql:` and
    /// `//USER:PASSWORD@HOST/DATABASE`. Other users of this machine can read flags, but not the environment.
    #[arg(
        long,
        global = true,
        env = "TOLLGATE_ACCOUNTS",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) accounts: Option<String>,
}

impl AccountsArgs {
    /// Complains about a URL that names no database.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let url = self.accounts.as_deref();
        let checked = url.map(tollgate_accounts::check_url).transpose();
        checked
            .map(drop)
            .map_err(|error| Failure::Usage(format!("--accounts or TOLLGATE_ACCOUNTS: {error}")))
    }
}

#[derive(clap::Args)]
pub(crate) struct ServeArgs {
    /// The rules file. Without it and --preset: a limited proxy if --limit asks for one, else ./tollgate.toml if there
    /// is one, else a proxy to --upstream, else the preset random-number.
    #[arg(
        long,
        env = "TOLLGATE_RULES",
        value_name = "FILE",
        conflicts_with = "preset"
    )]
    pub(crate) rules: Option<PathBuf>,
    /// One of the five systems.
    #[arg(long, env = "TOLLGATE_PRESET", value_name = "NAME")]
    pub(crate) preset: Option<Preset>,
    /// Where requests go: in the place of every upstream of the rules, or of the whole limited proxy.
    #[arg(long, env = "TOLLGATE_UPSTREAM", value_name = "URL")]
    pub(crate) upstream: Option<String>,
    /// A limit of the proxy that --upstream asks for, like "100 per minute by client-ip". May be given several times.
    #[arg(long, env = "TOLLGATE_LIMIT", value_name = "LIMIT", requires = "upstream", conflicts_with_all = ["rules", "preset"])]
    pub(crate) limit: Vec<String>,
    /// Where the gateway listens, instead of what the rules say.
    #[arg(long, env = "TOLLGATE_LISTEN", value_name = "ADDRESS", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) accounts: AccountsArgs,
    /// Where the keys are that sign tokens, instead of what the rules say.
    #[arg(long, env = "TOLLGATE_TOKEN_KEYS", value_name = "PLACE")]
    pub(crate) token_keys: Option<TokenKeys>,
    /// Where counters live, instead of what the rules say: `memory:`, saved in the data directory, or a store that several
    /// gateways share, like `redis://USER:PASSWORD@HOST` or `redis+cluster://HOST:PORT,HOST:PORT`. Other users of this
    /// machine can read flags, but not the environment.
    #[arg(
        long,
        env = "TOLLGATE_COUNTERS",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub(crate) counters: Option<String>,
    /// Serve /livez, /readyz and /metrics on this address too, besides the admin socket in the data directory.
    #[arg(long, env = "TOLLGATE_ADMIN", value_name = "ADDRESS", value_parser = address)]
    pub(crate) admin: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// Hold the clock at this second since 1970 until POST /clock/advance on the admin socket moves it.
    #[cfg(debug_assertions)]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) test_clock: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum TokenKeys {
    /// In the data directory: each gateway has its own.
    File,
    /// In the accounts database: all gateways on it take each other's tokens.
    Database,
}

#[derive(clap::Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Print everything once, as text, and end. So it is without a terminal, too.
    #[arg(long)]
    pub(crate) once: bool,
    /// Print everything once, as JSON, and end.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args)]
pub(crate) struct UserArgs {
    #[command(flatten)]
    pub(crate) accounts: AccountsArgs,
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user. The password is asked for, or read from standard input when that is no terminal.
    Create {
        /// Their name.
        name: String,
        /// Make them an administrator.
        #[arg(long)]
        admin: bool,
    },
    /// All users.
    List,
    /// Make somebody an administrator, or an ordinary user.
    Role {
        /// Their name.
        name: String,
        /// `admin` or `user`.
        role: tollgate_accounts::Role,
    },
    /// Give a user of a running gateway a plan, or none.
    #[command(
        override_usage = "tollgate user plan [OPTIONS] <NAME> <PLAN|--none>",
        group = ArgGroup::new("which").args(["plan", "none"]).required(true),
    )]
    Plan {
        /// Their name.
        name: String,
        /// The plan's name.
        plan: Option<String>,
        /// No plan any more.
        #[arg(long)]
        none: bool,
    },
    /// Keep a user and all their keys out.
    Disable {
        /// Their name.
        name: String,
    },
    /// Let a user in again.
    Enable {
        /// Their name.
        name: String,
    },
    /// Change a password, which ends every session of the user.
    Passwd {
        /// Their name.
        name: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    pub(crate) accounts: AccountsArgs,
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key, and show it this once.
    Create {
        /// Whose it is.
        user: String,
        /// What it is for.
        #[arg(long, default_value = "key")]
        name: String,
        /// A limit of its own beside its user's, like "2 per second".
        #[arg(long)]
        quota: Option<tollgate::Quota>,
        /// What it may do, of what routes ask for; may be given several times. Without one it may do everything.
        #[arg(long, value_name = "SCOPE")]
        scope: Vec<String>,
        /// How long it lives, like `30d`; without it until it is revoked.
        #[arg(long, value_name = "TIME", value_parser = tollgate::notation::parse_duration)]
        expires_in: Option<std::time::Duration>,
    },
    /// The keys of a user, or all of them.
    List {
        /// Whose.
        user: Option<String>,
    },
    /// End a key at once.
    Revoke {
        /// Its id.
        id: String,
    },
    /// Replace a key by a new one, and end the old one after a while.
    Rotate {
        /// Its id.
        id: String,
        /// How long the old one stays good.
        #[arg(long, default_value_t = 86_400, value_name = "SECONDS")]
        grace: u64,
    },
}

#[derive(clap::Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) accounts: AccountsArgs,
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Sign with a new key from now on. A running gateway notices within two seconds; tokens that the old key has signed
    /// stay good as long as they live.
    Rotate {
        /// End every token that the old keys have signed: for a key that somebody else has seen.
        #[arg(long)]
        at_once: bool,
    },
    /// End one token before it expires. Without an id the token itself is asked for, or read from standard input when
    /// that is no terminal.
    Revoke {
        /// Its id: the `jti` in it, 32 hexadecimal digits.
        #[arg(value_name = "JTI")]
        id: Option<String>,
    },
}
