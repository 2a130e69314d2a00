//! `tls = { cert = "FILE", key = "FILE", client_ca = "FILE" }`, of which the last may be absent.

use crate::read::{Table, Value};
use crate::tls::Certificates;

/// The files that `table` names; it is what `value` holds.
pub(super) fn certificates(
    table: &mut Table<'_, '_>,
    value: &Value<'_, '_>,
) -> Option<Certificates> {
    let mut file = |key| table.value(key).and_then(|value| value.string());
    let [cert, key, client_ca] = ["cert", "key", "client_ca"].map(&mut file);
    let (Some(cert), Some(key)) = (cert, key) else {
        let message = "`tls` needs a `cert` and a `key`: files in PEM";
        value.source().complain(value.span(), message);
        return None;
    };
    Some(Certificates {
        cert: cert.value.into(),
        key: key.value.into(),
        client_ca: client_ca.map(|file| file.value.into()),
    })
}
