//! Which rules a gateway starts with.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tollgate::Micros;
use tollgate_redis::Location;
use tollgate_rules::{
    Counters, Diagnostic, LONGEST_FILE_BYTES, Overrides, RuleSet, Service, Upstream, modified,
};

use super::rules_file::RulesFile;
use crate::args::{ServeArgs, ServiceArgs, TokenKeys};
use crate::failure::Failure;
use crate::presets::Preset;

const USUAL_FILE: &str = "tollgate.toml";

/// Rules, and where they came from.
pub(super) struct Chosen {
    pub(super) rules: RuleSet,
    /// Since when they are so: as they say, or their file; 1970 for those without one.
    pub(super) at: Micros,
    /// What to say about it.
    pub(super) from: String,
    pub(super) preset: Option<Preset>,
    /// The file that they are in, if they are in one.
    pub(super) file: Option<RulesFile>,
}

/// The rules that the flags ask for.
pub(super) fn choose(args: &ServeArgs) -> Result<Chosen, Failure> {
    let upstream = args.upstream.as_deref().map(Upstream::parse).transpose();
    let upstream = upstream
        .map_err(|why| Failure::Usage(format!("--upstream or TOLLGATE_UPSTREAM: {why}")))?;
    let counters = args.counters.as_deref().map(check_counters).transpose();
    counters.map_err(|why| Failure::Usage(format!("--counters or TOLLGATE_COUNTERS: {why}")))?;
    let overrides = Overrides {
        upstream,
        counters: args.counters.clone(),
        service: service(&args.service)?,
    };
    let usual = Path::new(USUAL_FILE);
    let mut chosen = match (&args.rules, args.preset) {
        (Some(file), _) => from_file(file, format!("the rules in {}", file.display()), &overrides)?,
        (None, Some(preset)) => from_preset(preset, &overrides)?,
        (None, None) if !args.limit.is_empty() => limited_proxy(args, &overrides)?,
        (None, None) if usual.exists() => {
            from_file(usual, "the rules in ./tollgate.toml".to_owned(), &overrides)?
        }
        (None, None) if args.upstream.is_some() => limited_proxy(args, &overrides)?,
        (None, None) if overrides.service.is_on() => Chosen {
            rules: parse("the command line", "", &overrides)?,
            at: Micros(0),
            from: "no routes".to_owned(),
            preset: None,
            file: None,
        },
        (None, None) => from_preset(Preset::RandomNumber, &overrides)?,
    };
    if let Some(listen) = args.listen {
        chosen.rules.server.listen = listen;
    }
    args.accounts.check()?;
    if let Some(url) = &args.accounts.accounts {
        chosen.rules.accounts.url.clone_from(url);
    }
    if let Some(place) = args.token_keys {
        chosen.rules.accounts.share_token_keys = matches!(place, TokenKeys::Database);
    }
    Ok(chosen)
}

/// The file that `serve` reads its rules from where no flag says otherwise.
pub(crate) fn usual_file() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os("TOLLGATE_RULES") {
        return Some(file.into());
    }
    let elsewhere = ["TOLLGATE_PRESET", "TOLLGATE_LIMIT"];
    if elsewhere
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        return None;
    }
    Some(PathBuf::from(USUAL_FILE)).filter(|file| file.exists())
}

/// What the flags say about the decision service.
fn service(args: &ServiceArgs) -> Result<Service, Failure> {
    let token = args.service_token.as_deref().map(Service::check_token);
    token.transpose().map_err(|why| {
        Failure::Usage(format!("--service-token or TOLLGATE_SERVICE_TOKEN: {why}"))
    })?;
    Ok(Service {
        resp: args.resp,
        http: args.http,
        grpc: args.grpc,
        tokens: args.service_token.iter().cloned().collect(),
        ..Service::default()
    })
}

/// Complains about a URL that names no place for counters, without repeating it.
fn check_counters(url: &str) -> Result<(), String> {
    if url == Counters::MEMORY {
        return Ok(());
    }
    let read = url.parse::<Location>();
    read.map(drop)
        .map_err(|error| format!("{error}, or {}", Counters::MEMORY))
}

/// Reads a rules file.
pub(crate) fn read(file: &Path, overrides: &Overrides) -> Result<RuleSet, Failure> {
    parse(&file.display().to_string(), &text_of(file)?, overrides)
}

/// The database of accounts that a rules file names. Its other mistakes are mistakes here too, but flags of `serve` may
/// stand for routes.
pub(crate) fn accounts_url(file: &Path) -> Result<String, Failure> {
    let service = Service {
        resp: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        ..Service::default()
    };
    let overrides = Overrides {
        service,
        ..Overrides::default()
    };
    Ok(read(file, &overrides)?.accounts.url)
}

/// The text of a file of rules.
pub(crate) fn text_of(file: &Path) -> Result<String, Failure> {
    let unreadable =
        |why: String| Failure::Usage(format!("{} cannot be read: {why}", file.display()));
    // A pipe would wait for a writer for ever.
    let metadata = std::fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let open = std::fs::File::open(file).map_err(|error| unreadable(error.to_string()))?;
    open.take(LONGEST_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        unreadable(format!(
            "it is not UTF-8 at byte {}",
            error.utf8_error().valid_up_to()
        ))
    })?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn from_file(file: &Path, from: String, overrides: &Overrides) -> Result<Chosen, Failure> {
    let read = RulesFile::read(file)?;
    let rules = parse(&file.display().to_string(), read.text(), overrides)?;
    Ok(Chosen {
        at: written_at(file, &rules),
        rules,
        from,
        preset: None,
        file: Some(read),
    })
}

/// Since when the rules of a file are so: as they say themselves, or since it was written.
pub(crate) fn written_at(file: &Path, rules: &RuleSet) -> Micros {
    let written = || std::fs::metadata(file).map_or(Micros(0), |file| modified(&file));
    rules.version.unwrap_or_else(written)
}

fn from_preset(preset: Preset, overrides: &Overrides) -> Result<Chosen, Failure> {
    let from = format!("the preset {}", preset.name());
    let rules = parse(&from, preset.rules(), overrides)?;
    Ok(Chosen {
        at: rules.version.unwrap_or_default(),
        rules,
        from,
        preset: Some(preset),
        file: None,
    })
}

/// The rules that `--upstream` and `--limit` stand for, with a line for each limit.
fn limited_proxy(args: &ServeArgs, overrides: &Overrides) -> Result<Chosen, Failure> {
    // A string in JSON is one in TOML.
    let quote = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    let limits: Vec<String> = args.limit.iter().map(quote).collect();
    let upstream = args.upstream.as_ref().map(quote).unwrap_or_default();
    let text = format!(
        "[[routes]]\nmatch = \"/{{*rest}}\"\nupstream = {upstream}\nlimits = [\n{}\n]\n",
        limits.join(",\n")
    );
    let rules = RuleSet::parse("the command line", &text, overrides);
    let rules = rules.map_err(|mistakes| mistaken_flags(&mistakes, &args.limit))?;
    Ok(Chosen {
        rules,
        at: Micros(0),
        from: match limits.as_slice() {
            [] => format!("a proxy for {upstream} that limits nothing: `--limit` adds a limit"),
            _ => format!("a limited proxy for {upstream}"),
        },
        preset: None,
        file: None,
    })
}

/// The line of the first limit in the rules that flags stand for.
const FIRST_LIMIT_LINE: usize = 5;

/// What is wrong with the rules that flags stand for, without the rules themselves, which nobody has written.
fn mistaken_flags(mistakes: &[Diagnostic], limits: &[String]) -> Failure {
    let shown = mistakes.iter().map(|mistake| {
        let place = mistake.line().checked_sub(FIRST_LIMIT_LINE);
        let limit = place.and_then(|place| limits.get(place));
        let limit = limit.map(|limit| format!(", {limit:?}"));
        let help = mistake.help().map(|help| format!(" = help: {help}\n"));
        match mistake.line() {
            0 => mistake.to_string(),
            _ => format!(
                "error: --limit or TOLLGATE_LIMIT{}: {}\n{}",
                limit.unwrap_or_default(),
                mistake.message(),
                help.unwrap_or_default()
            ),
        }
    });
    let shown: String = shown.collect();
    let more = "These flags stand for a rules file, which can say more: `tollgate init` writes one to start from.";
    Failure::Usage(format!("{shown}{more}"))
}

fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<RuleSet, Failure> {
    let rules = RuleSet::parse(name, text, overrides);
    let rules = rules.map_err(|mistakes| mistaken(&mistakes))?;
    check_counters(&rules.counters.url)
        .map_err(|why| Failure::Usage(format!("{name}: `url` of [counters]: {why}")))?;
    Ok(rules)
}

/// What is wrong with a file of rules, as far as anybody reads it.
pub(crate) fn mistaken(mistakes: &[Diagnostic]) -> Failure {
    let shown: Vec<String> = mistakes.iter().take(20).map(ToString::to_string).collect();
    let more = mistakes.len().saturating_sub(20);
    let more = if more > 0 {
        format!("\nand {more} more")
    } else {
        String::new()
    };
    Failure::Usage(format!("{}{more}", shown.join("\n")))
}
