import CoordinatorCore
import CoordinatorStore
import ModelFormats

/// The body of `POST /v1/batches`, checked as far as it can be without the store.
struct BatchCreation {
  var inputFileID: String
  var endpoint: GenerationEndpoint
  var completionWindow: String
  var completionWindowSeconds: Int
  var metadata: ExactDictionary<String>?
  var pool: WorkPool
  var priority: Int
  var outputExpiresAfterSeconds: Int?

  /// - Throws: `FieldError`.
  init(_ fields: RequestFields, maximumWindowSeconds: Int) throws {
    let known = [
      "input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after",
    ]
    for key in fields.keys where !known.contains(key) {
      throw FieldError(
        code: "unknown_parameter", message: "Unknown parameter: '\(key.prefix(64))'.",
        param: String(key.prefix(64)))
    }
    inputFileID = try fields.requiredString("input_file_id")
    let path = try fields.requiredString("endpoint")
    guard let endpoint = GenerationEndpoint(rawValue: path) else {
      let names = GenerationEndpoint.allCases.map(\.rawValue).joined(separator: ", ")
      throw fields.invalid("endpoint", "'\(path.prefix(100))' is not one of \(names)")
    }
    self.endpoint = endpoint
    completionWindow = try fields.requiredString("completion_window")
    guard let seconds = Self.seconds(window: completionWindow), seconds >= 86400,
      seconds <= maximumWindowSeconds
    else {
      throw fields.invalid(
        "completion_window",
        "expected '24h' or longer, in hours or days such as '48h' or '7d', to at most "
          + "\(maximumWindowSeconds / 86400) days")
    }
    completionWindowSeconds = seconds
    metadata = try fields.metadata()
    pool = try WorkChoiceFields.pool(metadata, fields)
    priority = try WorkChoiceFields.priority(metadata, fields)
    try WorkChoiceFields.checkSkipBadLines(metadata, fields)
    outputExpiresAfterSeconds = try Self.expiry(fields)
  }

  /// `24h`, `7d`: nil for anything else.
  private static func seconds(window: String) -> Int? {
    let unit: Int
    switch window.last {
    case "h": unit = 3600
    case "d": unit = 86400
    default: return nil
    }
    let digits = window.dropLast()
    guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }),
      let count = Int(digits)
    else { return nil }
    return count * unit
  }

  private static func expiry(_ fields: RequestFields) throws -> Int? {
    guard let rule = try fields.object("output_expires_after") else { return nil }
    guard try rule.requiredString("anchor") == "created_at" else {
      throw rule.invalid("anchor", "only 'created_at' is supported")
    }
    guard let seconds = try rule.integer("seconds", in: 3600...2_592_000) else {
      throw rule.missing("seconds")
    }
    return seconds
  }
}
