//! Reads the answer to a call: its body, or the error that it describes.

use http::{Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::call::ApiResponse;
use crate::cluster::error::{ApiError, Status};

/// Reads an answer of at most so many bytes.
///
/// # Errors
/// When the answer is an error, is longer, or does not arrive.
pub async fn read(response: Response<Incoming>, most: usize) -> Result<ApiResponse, ApiError> {
    let code = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok())
        .unwrap_or_default();
    let body = Limited::new(response.into_body(), most).collect().await.map_err(|e| {
        match e.is::<http_body_util::LengthLimitError>() {
            true => ApiError::TooLong(most),
            false => ApiError::unreachable(e),
        }
    })?;
    let body = body.to_bytes();
    if (200..300).contains(&code) {
        return Ok(ApiResponse { code, body });
    }
    let mut status: Status = serde_json::from_slice(&body).unwrap_or_default();
    status.code = code;
    status.details.retry_after_seconds = status.details.retry_after_seconds.max(retry_after);
    if code == 401 {
        // Its message is always "Unauthorized".
        status.message =
            "the API server rejected the credentials (401 Unauthorized): they are missing, wrong or expired"
                .to_owned();
    }
    if status.message.is_empty() {
        let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        status.message = format!("HTTP status {code} {}", text.trim());
    }
    Err(ApiError::Status(Box::new(status)))
}
