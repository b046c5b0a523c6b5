//! The first hop of Stream Load: checks the user and the privilege, and chooses the BE (§3.1).

use super::{
    Reply, authenticate, broken,
    result::{RestResult, refusal},
};
use crate::{
    Profile, User,
    cluster::Cluster,
    fault::{Action, Stage},
    grants::{Object, Privilege},
    http::{Request, Response, Status, decode_percent},
    locked,
};

pub(super) async fn stream_load(
    cluster: &Cluster,
    request: &Request,
    client: &str,
    database: &str,
    table: &str,
) -> Reply {
    locked(&cluster.stats).fe_loads += 1;
    let address = match check(cluster, request, client, database, table) {
        Ok(()) => cluster.backend_address(),
        Err(response) => return Reply::Answer(response),
    };
    let label = request.header("label").unwrap_or_default();
    match cluster.meet(Stage::Redirect, &format!("{database}.{table}"), &label).await {
        None => Reply::Answer(redirect(cluster.profile(), request, &address)),
        Some(Action::RedirectTo { address }) => Reply::Answer(redirect(cluster.profile(), request, &address)),
        Some(Action::NoBackend) => Reply::Answer(refused("No backend alive.")),
        Some(Action::Fail { message }) => Reply::Answer(refused(&message)),
        Some(Action::ServerError) => Reply::Answer(broken()),
        Some(_) => Reply::Nothing,
    }
}

fn check(
    cluster: &Cluster,
    request: &Request,
    client: &str,
    database: &str,
    table: &str,
) -> Result<(), Response> {
    let user = authenticate(cluster, request, client)?;
    let is_exempt = request.minor_version == 0 && cluster.profile().exempts_http10_from_expect();
    if !request.expects_continue() && !is_exempt {
        return Err(refused("There is no 100-continue header"));
    }
    // Names are taken from the URL without decoding. The BE, not the FE, reports an unknown table.
    let exists = locked(&cluster.catalog).table(database, table).is_some();
    let object = Object::Table(database.to_owned(), table.to_owned());
    if exists && !cluster.may(&user, Some(Privilege::Insert), &object) {
        return Err(denied(cluster.profile(), &user));
    }
    match request.header("enable_merge_commit").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        true => Err(merge_commit_refused()),
        false => Ok(()),
    }
}

fn denied(profile: Profile, user: &User) -> Response {
    let message = if profile.hides_who_was_denied() {
        "Access denied.".to_owned()
    } else {
        format!(
            "Access denied for user '{}'@'%'. Please ask the admin to grant permission(s) or try activating existing \
             roles using <set [default] role>. Current role(s): NONE. Inactivated role(s): NONE.",
            user.name
        )
    };
    Response::html(Status::Unauthorized, RestResult::failed("1", &message).compact()).closing()
}

/// The answer of a real FE to a request without an interval (recording).
fn merge_commit_refused() -> Response {
    let message = "Batch write interval must be set positive, but is null";
    Response::json(RestResult::failed("INVALID_ARGUMENT", message).compact()).closing()
}

fn refused(message: &str) -> Response {
    Response::json(refusal(message)).closing()
}

fn redirect(profile: Profile, request: &Request, address: &str) -> Response {
    to(profile, request, address).closing()
}

/// Redirects to the same path at another address.
pub(super) fn to(profile: Profile, request: &Request, address: &str) -> Response {
    let location = format!("http://{address}{}", location_path(profile, &request.target));
    Response::html(Status::TemporaryRedirect, "").with("location", &location)
}

/// Up to 3.5 the FE decodes the path and then escapes only some of its characters again (§3.4).
fn location_path(profile: Profile, target: &str) -> String {
    if profile >= Profile::V4_0 {
        let escape =
            |byte: u8| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        return target.bytes().map(escape).collect();
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let escaped = decode_percent(path).chars().map(half_escape).collect::<String>();
    query.map_or(escaped.clone(), |query| format!("{escaped}?{query}"))
}

fn half_escape(letter: char) -> String {
    match letter {
        ' ' => "%20".to_owned(),
        '%' => "%25".to_owned(),
        '?' => "%3F".to_owned(),
        // Characters outside Latin-1 are lost.
        '\u{100}'.. => "?".to_owned(),
        _ => letter.to_string(),
    }
}
