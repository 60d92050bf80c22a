/// Where one request (a line of a batch) is in its life.
package enum RequestState: Hashable, Sendable {
  /// Waits in its queue to be cut into a unit.
  case waiting
  /// Part of a unit.
  case inUnit
  /// Its unit's result is verified.
  case completed
  /// It cannot be answered; its line goes to the error file.
  case failed(RequestFailure)
  /// The batch's window closed first.
  case expired
  /// The batch was cancelled first.
  case cancelled

  /// Whether the request still needs work.
  package var isOpen: Bool {
    switch self {
    case .waiting, .inUnit: true
    case .completed, .failed, .expired, .cancelled: false
    }
  }
}

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
