import CoordinatorCore
import Foundation
import HTTPTypes
import Hummingbird
import Tokenizers
import WireProtocol

/// What a client is told when a request fails: OpenAI's error object, its status, and whether a
/// retry makes sense.
///
/// The official client chooses its exception by status and retries 408, 409, 429 and 5xx unless
/// `x-should-retry` forbids it.
package struct APIError: Error, Sendable, Equatable {
  package var status: HTTPResponse.Status
  package var message: String
  package var type: String
  /// The request field that is wrong.
  package var param: String?
  /// What programs compare; one of a bounded set of words.
  package var code: String?
  /// Sent as `x-should-retry` when not nil.
  package var shouldRetry: Bool?
  /// Further headers, such as `Allow` or `Content-Range`.
  package var headers: HTTPFields

  package init(
    _ status: HTTPResponse.Status, _ message: String, type: String = "invalid_request_error",
    param: String? = nil, code: String? = nil, shouldRetry: Bool? = nil, headers: HTTPFields = [:]
  ) {
    self.status = status
    self.message = message
    self.type = type
    self.param = param
    self.code = code
    self.shouldRetry = shouldRetry
    self.headers = headers
  }

  /// 400 with the field at fault.
  package static func invalid(_ message: String, param: String? = nil, code: String? = nil) -> Self
  {
    APIError(.badRequest, message, param: param, code: code)
  }

  /// 404 for an object that does not exist or belongs to another key.
  package static func noSuch(_ kind: String, _ id: String, param: String? = "id") -> Self {
    APIError(
      .notFound, "No such \(kind): '\(id.prefix(100))'.", param: param, code: "not_found")
  }

  /// 409 that will be the same the next time.
  package static func conflict(_ message: String, code: String? = nil) -> Self {
    APIError(.conflict, message, code: code, shouldRetry: false)
  }

  /// 413.
  package static func tooLarge(_ message: String, param: String? = nil) -> Self {
    APIError(.contentTooLarge, message, param: param, code: "content_too_large")
  }

  /// 429 in OpenAI's words: `insufficient_quota` where only a change helps, else
  /// `rate_limit_exceeded`. Clients repeat a 429 within seconds, which helps against nothing but
  /// too many open batches.
  package static func quota(_ refusal: QuotaRefusal) -> Self {
    let word = refusal.passesWithTime ? "rate_limit_exceeded" : "insufficient_quota"
    let mayEndSoon = refusal.resource == .openBatches && refusal.passesWithTime
    return APIError(
      .tooManyRequests, refusal.description, type: word, code: word,
      shouldRetry: mayEndSoon ? nil : false)
  }

  /// 429 or 503 that says when to come back.
  package static func tryLater(
    _ status: HTTPResponse.Status, _ message: String, seconds: Int
  ) -> Self {
    let code = status == .tooManyRequests ? "rate_limit_exceeded" : "unavailable"
    return APIError(
      status, message, type: status == .tooManyRequests ? code : "server_error", code: code,
      headers: [.retryAfter: "\(max(1, seconds))"])
  }

  /// 507; repeating it within seconds does not help.
  package static func diskFull(_ message: String) -> Self {
    APIError(
      HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage"), message,
      type: "server_error", code: "disk_full", shouldRetry: false)
  }

  /// 426 that says what to upgrade.
  package static func upgradeRequired(_ message: String) -> Self {
    APIError(.upgradeRequired, message, code: WorkerErrorCode.upgradeRequired, shouldRetry: false)
  }

  /// 401 of worker routes.
  package static func certificateRequired(_ message: String) -> Self {
    APIError(
      .unauthorized, message, type: "authentication_error",
      code: WorkerErrorCode.certificateRequired)
  }

  /// 500; what went wrong is in the log under the answer's request id.
  package static let internalFailure = APIError(
    .internalServerError, "The server had an error while processing the request.",
    type: "server_error", code: "internal_error")

  /// 503 while the server cannot answer; clients retry.
  package static func unavailable(_ message: String) -> Self {
    APIError(.serviceUnavailable, message, type: "server_error", code: "unavailable")
  }

  /// OpenAI's `{"error": {...}}`.
  package var body: ErrorBody {
    ErrorBody(error: .init(message: message, type: type, param: param, code: code))
  }
}

extension APIError: HTTPResponseError {
  package func response(from request: Request, context: some RequestContext) throws -> Response {
    try response()
  }

  /// The answer without a request.
  package func response() throws -> Response {
    var response = try Response.json(body, status: status)
    for field in headers { response.headers[field.name] = field.value }
    if let shouldRetry {
      response.headers[.shouldRetry] = shouldRetry ? "true" : "false"
    }
    return response
  }
}

extension HTTPField.Name {
  /// Names a request in answers and logs; the official client shows it in exceptions.
  package static let requestID = HTTPField.Name("x-request-id")!
  package static let shouldRetry = HTTPField.Name("x-should-retry")!
  /// How often the official client has repeated this request.
  package static let stainlessRetryCount = HTTPField.Name("x-stainless-retry-count")!
}

extension Response {
  /// A JSON answer. Keys are sorted, slashes unescaped.
  package static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws
    -> Response
  {
    let data = try ExactJSON.encode(value)
    return Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
  }
}
