/// Why one request failed, as its line in the error file says it.
package struct RequestFailure: Hashable, Sendable, Codable {
  /// The HTTP status of the line's `response`; nil for a line whose `error` says why there is no
  /// response.
  package var statusCode: Int?
  /// OpenAI's error code, such as `context_length_exceeded`.
  package var code: String
  package var message: String
  /// The parameter at fault, if one is.
  package var param: String?

  package init(statusCode: Int?, code: String, message: String, param: String? = nil) {
    self.statusCode = statusCode
    self.code = code
    self.message = message
    self.param = param
  }

  /// A logit of this request was not finite (NUMERICS.md: at a defined point, so on every machine).
  package static let nonFinite = RequestFailure(
    statusCode: 500, code: "non_finite_logits",
    message: "The model produced a value that is not a finite number for this request.")

  /// Workers and the trusted machine gave the unit up.
  package static func gaveUp(_ reason: String) -> RequestFailure {
    RequestFailure(
      statusCode: 500, code: "unit_failed",
      message: "No machine could compute this request: \(reason)")
  }
}
