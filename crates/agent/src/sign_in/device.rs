//! A sign-in on another device (RFC 8628): a code is shown here, the person enters it there.

use std::time::Duration;

use ipc::{Error, ErrorCode, SignInStep};
use oauth::{
    DeviceAuthorization, DeviceAuthorizationError, DeviceAuthorizationRequest, Next, PollSchedule, Polled,
    RegisterFor, TokenEndpoint, poll, request_device_authorization,
};
use qrcode::{Color, QrCode};
use token_store::Renewal;
use tokio::time::Instant;

use super::Line;
use super::attempt::Attempt;
use super::flow::{Granted, Whose, cancelled, of_exchange};
use crate::servers::chain;

/// Shows a code and waits until the person has entered it, said no, or is too late. Nothing is asked for in any
/// other way: a code that has ended is replaced only when the person begins again.
pub(super) async fn run(attempt: &Attempt<'_>, deadline: Instant, line: &mut Line) -> Result<Granted, Error> {
    let metadata = &attempt.protected.metadata;
    let Some(endpoint) = &metadata.device_authorization_endpoint else {
        return Err(not_offered(&attempt.protected.issuer));
    };
    let registration = attempt.registration(RegisterFor::Device).await?;
    let authentication = attempt.authentication(&registration).await?;
    let resource = attempt.protected.resource_parameter.as_deref();
    let asked = DeviceAuthorizationRequest {
        endpoint,
        authentication: &authentication,
        scopes: attempt.scopes,
        resource,
    };
    let begun = Instant::now();
    let device = match request_device_authorization(&*attempt.http, &asked).await {
        Ok(device) => device,
        Err(error) => {
            // It may have forgotten us: the next try registers anew.
            attempt.forget(&registration).await?;
            return Err(of_start(&error));
        }
    };
    line.step(shown(attempt, &device));
    let token_endpoint =
        TokenEndpoint { url: &metadata.token_endpoint, authentication: &authentication, resource };
    let mut schedule = PollSchedule::new(&device);
    loop {
        let Next::Wait(pause) = schedule.next(begun.elapsed()) else { return Err(too_late()) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = tokio::time::sleep_until(deadline) => return Err(too_late()),
            () = line.cancelled() => return Err(cancelled()),
        }
        let polled = poll(&*attempt.http, token_endpoint, &device.device_code).await;
        schedule.saw(&polled);
        match polled {
            Polled::Tokens(answer) => {
                line.step(SignInStep::Exchanging);
                return Ok(Granted {
                    registration,
                    authentication,
                    nonce: None,
                    reply: None,
                    answer,
                    renewal: Renewal::RefreshToken,
                    whose: Whose::AskIssuer,
                });
            }
            Polled::Pending | Polled::SlowDown => {}
            Polled::Trouble(error) => {
                tracing::info!(%error, "the issuer could not be asked whether the code was entered");
            }
            Polled::Denied { text } => {
                let words = text.map(|text| format!(" ({text})")).unwrap_or_default();
                return Err(Error::new(ErrorCode::Failed, format!("the sign-in was declined{words}"))
                    .hint("nothing was changed; start it again if that was not meant"));
            }
            Polled::Expired => return Err(too_late()),
            Polled::Failed(error) => return Err(of_exchange(&error)),
        }
    }
}

fn shown(attempt: &Attempt<'_>, device: &DeviceAuthorization) -> SignInStep {
    let url = device.verification_uri.to_string();
    let complete_url = device.verification_uri_complete.as_ref().map(ToString::to_string);
    SignInStep::EnterCode {
        user_code: device.user_code.clone(),
        qr: qr(complete_url.as_deref().unwrap_or(&url)),
        url,
        complete_url,
        ends_at: attempt.agent.world.now().after(device.expires_in),
    }
}

/// The address as rows of `#` and `.`; none where it is too long for a QR code.
fn qr(address: &str) -> Vec<String> {
    let Ok(code) = QrCode::new(address) else { return Vec::new() };
    let dark = |color: &Color| if *color == Color::Dark { '#' } else { '.' };
    code.to_colors().chunks(code.width()).map(|row| row.iter().map(dark).collect()).collect()
}

fn not_offered(issuer: &str) -> Error {
    Error::new(ErrorCode::Failed, format!("{issuer} does not offer signing in on another device")).hint(
        "leave --device out; on a machine without a browser say --no-browser and paste the final address",
    )
}

fn too_late() -> Error {
    Error::new(ErrorCode::Failed, "nobody entered the code in time").hint("nothing was changed; start again")
}

fn of_start(error: &DeviceAuthorizationError) -> Error {
    match error {
        DeviceAuthorizationError::Http(_) | DeviceAuthorizationError::Trouble { .. } => {
            let hint = match error {
                DeviceAuthorizationError::Trouble { retry_after: Some(wait), .. } => {
                    format!(
                        "nothing was changed; try again in {} s",
                        wait.max(&Duration::from_secs(1)).as_secs()
                    )
                }
                _ => "nothing was changed; try again in a moment".to_owned(),
            };
            Error::new(ErrorCode::Unreachable, chain(error)).hint(hint)
        }
        DeviceAuthorizationError::Refused { .. } | DeviceAuthorizationError::Malformed { .. } => {
            Error::new(ErrorCode::Failed, chain(error)).hint("leave --device out to sign in with a browser")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_a_square_with_its_three_corners() {
        let rows = qr("https://as.example/device?user_code=WDJB-MJHT");
        let width = rows.len();
        assert!(width >= 21 && rows.iter().all(|row| row.len() == width));
        // ISO/IEC 18004 section 6.3.3: finder patterns at three corners.
        let corner = ["#######", "#.....#", "#.###.#"];
        for (y, pattern) in corner.iter().enumerate() {
            assert!(rows[y].starts_with(pattern) && rows[y].ends_with(pattern), "{}", rows[y]);
            assert!(rows[width - 1 - y].starts_with(pattern), "{}", rows[width - 1 - y]);
        }
        assert!(qr(&"x".repeat(8000)).is_empty(), "too long for any");
    }
}
