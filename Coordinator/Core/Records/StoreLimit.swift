/// Bounds that callers may rely on.
package enum StoreLimit {
  /// Errors that are kept of a batch that failed validation.
  package static let storedErrors = 100
  /// Seconds in which a retried creation finds its first attempt.
  package static let createRetrySeconds = 600
  /// Certificates that a worker gets within a day.
  package static let certificatesAtOnce = 12
  /// Certificates with another name that it gets within a day beside those.
  package static let renamesAtOnce = 4
  /// Seconds for which a certificate is remembered, and good, after its end.
  package static let certificateGraceSeconds = 90 * 86_400
  /// Keys of one account that may be in use together.
  package static let accountKeys = 20
  /// Lines that one `appendRequests` takes well: a few megabytes of tokens.
  package static let suggestedSlice = 500
  /// Characters of a message or reason for volunteers.
  package static let messageCharacters = 500
}
