//! What a request's body says: the same fields, whether it is JSON or a form.

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{HeaderValue, Request, Response};
use serde_json::{Map, Value};
use tollgate_gateway::accepts::Accepts;
use tollgate_gateway::refusal::Refusal;

use super::pages::Form;

const FORM: &str = "application/x-www-form-urlencoded";

/// The fields of a body. Without `Debug`: passwords are among them.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads the body as its `Content-Type` says.
    pub(super) fn of(request: &Request<Bytes>) -> Result<Self, Refusal> {
        match media_type(request.headers()).as_str() {
            "application/json" => json(request.body()).map(Fields),
            FORM => form(request.body()).map(Fields),
            _ => Err(Refusal::bad_request(format!(
                "Send `Content-Type: application/json` or `{FORM}`."
            ))),
        }
    }

    /// As [`of`](Self::of), where a body may be left out, or be of a kind that says nothing here.
    pub(super) fn of_optional(request: &Request<Bytes>) -> Result<Option<Self>, Refusal> {
        let is_readable = matches!(
            media_type(request.headers()).as_str(),
            "application/json" | FORM
        );
        (is_readable && !request.body().is_empty())
            .then(|| Self::of(request))
            .transpose()
    }

    /// Yes or no, and no where it is left out; in a form it is text.
    pub(super) fn optional_flag(&self, field: &str) -> Result<bool, Refusal> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if matches!(text.as_str(), "true" | "false" | "") => {
                Ok(text == "true")
            }
            Some(_) => Err(Refusal::unprocessable(field, "must be true or false")),
        }
    }

    /// A field that must be there.
    pub(super) fn text(&self, field: &str) -> Result<&str, Refusal> {
        match self.0.get(field) {
            Some(Value::String(text)) => Ok(text),
            Some(Value::Null) | None => Err(Refusal::unprocessable(field, "is missing")),
            Some(_) => Err(Refusal::unprocessable(field, "must be text")),
        }
    }

    /// A field that may be left out, or empty as forms leave it.
    pub(super) fn optional_text(&self, field: &str) -> Result<Option<&str>, Refusal> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self
                .text(field)
                .map(|text| Some(text).filter(|text| !text.is_empty())),
        }
    }

    /// A whole number that may be left out; in a form it is text.
    pub(super) fn optional_number(&self, field: &str) -> Result<Option<u64>, Refusal> {
        let number = match self.0.get(field) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64(),
        };
        let wrong = || Refusal::unprocessable(field, "must be a whole number, not below zero");
        number.map(Some).ok_or_else(wrong)
    }
}

/// Whether a browser posted a form of a page, and so wants a page.
pub(super) fn is_from_page(request: &Request<Bytes>) -> bool {
    media_type(request.headers()) == FORM && Accepts::of(request.headers()) == Accepts::Html
}

/// The page of a form once more, with what was wrong; a refusal that no other input can mend stays one.
pub(super) fn again(
    refusal: Refusal,
    form: Form,
    page: impl FnOnce(http::StatusCode, Form) -> Result<Response<Bytes>, Refusal>,
) -> Result<Response<Bytes>, Refusal> {
    let status = refusal.status(None);
    if !matches!(status.as_u16(), 401 | 409 | 422 | 429) {
        return Err(refusal);
    }
    let retry_after = refusal.retry_after();
    let mut response = page(
        status,
        Form {
            error: Some(for_people(&refusal)),
            retry_after,
            ..form
        },
    )?;
    let headers = response.headers_mut();
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == http::StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"tollgate\"");
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    Ok(response)
}

/// On a page a field has a label, and a wait has a countdown.
pub(super) fn for_people(refusal: &Refusal) -> String {
    if refusal.is_limited() {
        return "Too many attempts.".to_owned();
    }
    let plain = refusal.detail().replace('`', "").replace('_', " ");
    let mut letters = plain.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

fn json(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refusal::bad_request("The body must be a JSON object.")),
        // Says where, and nothing of what stands there.
        Err(error) => Err(Refusal::bad_request(format!(
            "The body is no JSON: line {}, column {}.",
            error.line(),
            error.column()
        ))),
    }
}

fn form(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let pairs: Result<Vec<(String, String)>, _> = serde_urlencoded::from_bytes(body);
    let unreadable = |_| Refusal::bad_request("The form cannot be read.");
    let fields = pairs.map_err(unreadable)?.into_iter();
    Ok(fields
        .map(|(field, text)| (field, Value::String(text)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(media_type: &str, body: &'static str) -> Result<Fields, Refusal> {
        let request = Request::post("/").header(header::CONTENT_TYPE, media_type);
        Fields::of(&request.body(Bytes::from_static(body.as_bytes())).unwrap())
    }

    fn refusal<T>(result: Result<T, Refusal>) -> (u16, String) {
        let refusal = result.err().expect("a refusal");
        (refusal.status(None).as_u16(), refusal.detail().into_owned())
    }

    #[test]
    fn json_and_forms_say_the_same() {
        let bodies = [
            (
                "application/json; charset=utf-8",
                r#"{"username":"Ann Lee","grace_seconds":60,"quota":""}"#,
            ),
            (
                "Application/X-WWW-Form-Urlencoded",
                "username=Ann+Lee&grace_seconds=60&quota=",
            ),
        ];
        for (media_type, body) in bodies {
            let fields = read(media_type, body).ok().unwrap();
            assert_eq!(fields.text("username").unwrap(), "Ann Lee");
            assert_eq!(fields.optional_number("grace_seconds").unwrap(), Some(60));
            assert_eq!(fields.optional_text("quota").unwrap(), None);
            assert_eq!(fields.optional_text("absent").unwrap(), None);
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_bad_request_that_repeats_nothing_of_it() {
        for (media_type, body) in [
            ("text/plain", "password=secret"),
            ("", "password=secret"),
            ("application/json", r#"{"password":"secret""#),
            ("application/json", r#"["secret"]"#),
            ("application/json", ""),
        ] {
            let (status, detail) = refusal(read(media_type, body));
            assert_eq!(status, 400, "{media_type} {body}");
            assert!(!detail.contains("secret"), "{detail}");
        }
    }

    #[test]
    fn a_field_that_is_missing_or_of_the_wrong_kind_is_named() {
        let fields = read("application/json", r#"{"username":7,"grace_seconds":-1}"#)
            .ok()
            .unwrap();
        assert_eq!(
            refusal(fields.text("username")),
            (422, "`username` must be text.".to_owned())
        );
        assert_eq!(
            refusal(fields.text("password")),
            (422, "`password` is missing.".to_owned())
        );
        let (status, detail) = refusal(fields.optional_number("grace_seconds"));
        assert_eq!(status, 422);
        assert!(detail.starts_with("`grace_seconds`"), "{detail}");
    }

    #[test]
    fn a_page_names_a_field_by_its_label() {
        let refusal = Refusal::unprocessable("username", "must not be empty");
        assert_eq!(for_people(&refusal), "Username must not be empty.");
    }
}
