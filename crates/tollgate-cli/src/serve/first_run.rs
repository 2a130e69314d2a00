//! What is said at the start: what runs, what to open, what to type.

use std::net::SocketAddr;
use std::path::Path;

use tollgate_accounts::{Accounts, SignUpError};
use tollgate_gateway::page::Links;

use crate::args::USUAL_DATA;
use crate::failure::Failure;
use crate::plain;
use crate::presets::Preset;

const DEMO_USER: &str = "demo";

/// Where a gateway is found.
pub(super) struct Place<'a> {
    pub(super) address: SocketAddr,
    pub(super) encrypted: bool,
    pub(super) data: &'a Path,
}

pub(super) async fn greet(
    from: &str,
    preset: Option<Preset>,
    Place {
        address,
        encrypted,
        data,
    }: Place<'_>,
    links: &Links,
    accounts: Option<&Accounts>,
) -> Result<(), Failure> {
    let base = &base_url(address, encrypted);
    let listens = listens(address, base);
    println!("Tollgate listens on {listens}, with {from}.");
    if let Some(home) = &links.home {
        println!("Open {base}{home} in a browser.");
    }
    if preset.is_some_and(|preset| matches!(preset, Preset::RandomNumber | Preset::Pages)) {
        println!("Or type:");
        println!("  curl {base}/signup -d username=ann -d password=correct-horse");
        println!(
            "  TOKEN=$(curl -s {base}/login -d username=ann -d password=correct-horse | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')"
        );
        println!("  curl -i {base}/call_api -H \"Authorization: Bearer $TOKEN\"");
        println!("  curl {base}/see_remaining_limits -H \"Authorization: Bearer $TOKEN\"");
    }
    if let (Some((path, field)), Some(accounts)) = (preset.and_then(Preset::demo_request), accounts)
    {
        let data = flag_of(data);
        if accounts.away_for().is_some() {
            println!("No demo key was made: the accounts database cannot be reached.");
        } else if let Some(key) = demo_key(accounts).await? {
            println!("A demo key was made for you; it is shown this once:");
            println!("  curl -i {base}{path} -H '{field}{key}'");
        } else {
            println!(
                "No demo key was made, for there are users already. `tollgate user list{data}` names them; for a key, type:"
            );
            println!("  tollgate key create NAME{data}");
        }
    }
    if preset == Some(Preset::HelloByIp) {
        println!("  curl {base}/get-auth-token");
    }
    if preset == Some(Preset::HourlyModule) {
        println!("  curl -i {base}/");
    }
    Ok(())
}

/// A key of a user that nobody can log in as, made when there is no user at all.
async fn demo_key(accounts: &Accounts) -> Result<Option<String>, Failure> {
    let failed =
        |error: &dyn std::error::Error| Failure::because("the demo key cannot be made", error);
    if !accounts
        .list_users()
        .await
        .map_err(|error| failed(&error))?
        .is_empty()
    {
        return Ok(None);
    }
    let mut password = [0; 32];
    aws_lc_rs::rand::fill(&mut password).map_err(|error| failed(&error))?;
    let password: String = password.iter().map(|byte| format!("{byte:02x}")).collect();
    let user = match accounts.sign_up(DEMO_USER, &password).await {
        Ok(user) => user,
        // Another gateway on the same database was first.
        Err(SignUpError::Taken) => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let key = accounts
        .create_key(&user.id, "demo", None, None)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Some(key.secret.expose().to_owned()))
}

/// Where a person on this machine reaches it.
fn base_url(address: SocketAddr, encrypted: bool) -> String {
    let scheme = if encrypted { "https" } else { "http" };
    if address.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}

/// What is listened on, where `base` is only one of many.
fn listens(address: SocketAddr, base: &str) -> String {
    match address.ip().is_unspecified() {
        true => format!(
            "every address of this machine, port {}; here: {base}",
            address.port()
        ),
        false => base.to_owned(),
    }
}

/// What a command needs to find a data directory, as a shell reads it.
fn flag_of(data: &Path) -> String {
    let text = data.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    match text.as_str() {
        USUAL_DATA => String::new(),
        _ if text.chars().all(is_plain) => format!(" --data {text}"),
        _ => format!(" --data '{}'", plain::line(&text).replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_not_said_to_be_this_machines_own() {
        for (address, expected) in [
            ("127.0.0.1:8140", "http://127.0.0.1:8140"),
            (
                "0.0.0.0:8140",
                "every address of this machine, port 8140; here: http://localhost:8140",
            ),
            (
                "[::]:8140",
                "every address of this machine, port 8140; here: http://localhost:8140",
            ),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(listens(address, &base_url(address, false)), expected);
        }
    }

    #[test]
    fn a_command_is_told_of_a_directory_that_is_not_the_usual_one() {
        for (data, expected) in [
            ("tollgate-data", ""),
            ("/var/lib/tollgate", " --data /var/lib/tollgate"),
            ("my data's", " --data 'my data'\\''s'"),
        ] {
            assert_eq!(flag_of(Path::new(data)), expected);
        }
    }
}
