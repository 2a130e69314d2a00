//! An address to listen on, as people write it.

use std::net::SocketAddr;

/// Reads `IP:PORT`. What is no address is told one that could have been meant: names are not looked up, for one name may
/// stand for several addresses.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let meant = || {
        let port = text.rsplit(':').next().unwrap_or_default();
        let port = port.parse::<u16>().unwrap_or(8000);
        format!(
            "an IP address and a port are wanted: 127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for others too"
        )
    };
    text.parse().map_err(|_| meant())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_and_a_port_and_what_is_none_is_told_one_with_its_port() {
        for right in ["127.0.0.1:8000", "0.0.0.0:0", "[::1]:6380"] {
            assert_eq!(
                address(right).map(|read| read.to_string()),
                Ok(right.to_owned())
            );
        }
        for (wrong, meant) in [
            ("localhost:9000", "127.0.0.1:9000 "),
            (":9000", "127.0.0.1:9000 "),
            ("9000", "127.0.0.1:9000 "),
            ("127.0.0.1", "127.0.0.1:8000 "),
            ("127.0.0.1:70000", "127.0.0.1:8000 "),
            ("", "127.0.0.1:8000 "),
        ] {
            let why = address(wrong).unwrap_err();
            assert!(why.contains(meant), "{wrong}: {why}");
        }
    }
}
