import CoordinatorCore
import CoordinatorStore
import ModelFormats

/// One line of a batch's input file, validated.
package struct BatchLine: Hashable, Sendable {
  package var customID: String
  package var request: GenerationRequest

  package init(customID: String, request: GenerationRequest) {
    self.customID = customID
    self.request = request
  }
}

/// Validates lines one after the other and remembers what must be the same, or different, in the
/// whole file.
package struct BatchLineValidator {
  private let endpoint: GenerationEndpoint
  private let parser: GenerationRequestParser
  private let knowsModel: (String) -> Bool
  private var customIDs: Set<ExactString> = []
  /// The model of the first valid line, which all lines share.
  package private(set) var model: String?

  private static let customIDBytes = 512
  /// A line of megabytes could otherwise become a hundred times as many in memory.
  private static let jsonRules = JSONReader.Rules.strict.limited(depth: 32, values: 500_000)
    .takingHugeNumbers()

  /// - Parameter knowsModel: whether a model of this name can be asked for.
  package init(
    endpoint: GenerationEndpoint, parser: GenerationRequestParser = GenerationRequestParser(),
    knowsModel: @escaping (String) -> Bool
  ) {
    self.endpoint = endpoint
    self.parser = parser
    self.knowsModel = knowsModel
  }

  /// Validates the next line.
  ///
  /// - Parameter number: counted from 1, for the error.
  /// - Throws: `BatchError`; further lines may be validated after it.
  package mutating func validate(_ line: [UInt8], number: Int) throws -> BatchLine {
    let value: JSONValue
    do {
      value = try JSONReader.parse(line, file: "line \(number)", rules: Self.jsonRules)
    } catch {
      throw BatchError(
        code: "invalid_json_line", line: number,
        message: "This line is not parseable as valid JSON: \(Self.reason(error))")
    }
    do {
      return try validate(RequestFields(value))
    } catch let error as FieldError {
      throw BatchError(
        code: error.code, line: number, message: error.message, param: error.param)
    }
  }

  /// The `custom_id` of a line that is not valid; nil when it has none that could be stored.
  package static func customID(of line: [UInt8]) -> String? {
    let value = try? JSONReader.parse(line, file: "line", rules: jsonRules)
    guard let text = value?["custom_id"]?.stringValue,
      (1...customIDBytes).contains(text.utf8.count), !text.holdsNUL
    else { return nil }
    return text
  }

  private mutating func validate(_ fields: RequestFields) throws -> BatchLine {
    let customID = try fields.requiredString("custom_id")
    guard (1...Self.customIDBytes).contains(customID.utf8.count) else {
      throw fields.invalid("custom_id", "it is 1 to \(Self.customIDBytes) bytes long")
    }
    guard !customID.holdsNUL else { throw fields.holdsNUL("custom_id") }
    guard customIDs.insert(ExactString(customID)).inserted else {
      throw FieldError(
        code: "duplicate_custom_id",
        message: "The custom_id '\(customID.prefix(100))' is used by an earlier line; it must be "
          + "unique within a batch.", param: "custom_id")
    }
    guard try fields.requiredString("method") == "POST" else {
      throw FieldError(
        code: "invalid_method", message: "The method of every request must be POST.",
        param: "method")
    }
    guard try fields.requiredString("url") == endpoint.rawValue else {
      throw FieldError(
        code: "invalid_url",
        message: "The URL of every request must be the batch's endpoint, \(endpoint.rawValue).",
        param: "url")
    }
    guard let body = fields.value("body") else { throw fields.missing("body") }
    for key in fields.keys where !["custom_id", "method", "url", "body"].contains(key) {
      throw fields.unsupported(key)
    }
    let request = try parser.parse(body, endpoint: endpoint)
    try check(model: request.model)
    return BatchLine(customID: customID, request: request)
  }

  private mutating func check(model name: String) throws {
    if let model {
      guard sameBytes(model, name) else {
        throw FieldError(
          code: "mismatched_model",
          message: "The model '\(name.prefix(100))' is not '\(model)', that of the lines before. "
            + "All requests in a batch must use the same model.", param: "body.model")
      }
      return
    }
    guard knowsModel(name) else {
      throw FieldError(
        code: "model_not_found",
        message: "The model '\(name.prefix(100))' does not exist on this coordinator.",
        param: "body.model")
    }
    model = name
  }

  /// The parser's words without the name that it was given for the file.
  private static func reason(_ error: any Error) -> String {
    if let error = error as? FormatError { return "\(error.reason) at byte \(error.offset ?? 0)" }
    return "\(error)"
  }
}

extension BatchError: Error {}
