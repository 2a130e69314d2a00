//! What is said at the start: what runs, what to open, what to type.

use std::net::SocketAddr;

use tollgate_accounts::{Accounts, SignUpError};
use tollgate_gateway::page::Links;

use crate::failure::Failure;
use crate::presets::Preset;

const DEMO_USER: &str = "demo";

pub(super) async fn greet(
    from: &str,
    preset: Option<Preset>,
    base: &str,
    links: &Links,
    accounts: Option<&Accounts>,
) -> Result<(), Failure> {
    println!("Tollgate listens on {base}, with {from}.");
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
        if accounts.away_for().is_some() {
            println!("No demo key was made: the accounts database cannot be reached.");
        } else if let Some(key) = demo_key(accounts).await? {
            println!("A demo key was made for you; it is shown this once:");
            println!("  curl -i {base}{path} -H '{field}{key}'");
        } else {
            println!(
                "No demo key was made, for there are users already. `tollgate user list` names them; for a key, type:"
            );
            println!("  tollgate key create NAME");
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
pub(super) fn base_url(address: SocketAddr, encrypted: bool) -> String {
    let scheme = if encrypted { "https" } else { "http" };
    if address.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}
