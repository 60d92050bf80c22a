import Foundation

/// One setting of a coordinator: its name in files and environment, what it means, and where it is
/// kept.
package struct CoordinatorSetting: Sendable {
  package typealias Path<Value> = WritableKeyPath<CoordinatorConfiguration, Value> & Sendable

  /// What a setting may be, and where it is kept.
  package enum Kind: Sendable {
    case flag(Path<Bool>)
    case integer(Path<Int>, ClosedRange<Int>)
    case number(Path<Double>, ClosedRange<Double>)
    case text(Path<String>)
    /// Text that may be missing.
    case optionalText(Path<String?>)
    case list(Path<[String]>)
  }

  /// Lower case with underscores; a unit comes last, such as `heartbeat_seconds`.
  package let key: String
  /// A sentence for people.
  package let about: String
  package let kind: Kind

  init(_ key: String, _ about: String, _ kind: Kind) {
    self.key = key
    self.about = about
    self.kind = kind
  }

  /// The variable that sets it: `TALLY_COORDINATOR_` and the key in capitals.
  package var variable: String { "TALLY_COORDINATOR_" + key.uppercased() }

  /// Its type and bounds in words.
  package var type: String {
    switch kind {
    case .flag: "true or false"
    case .integer(_, let range):
      range.upperBound == .max
        ? "an integer from \(range.lowerBound)"
        : "an integer from \(range.lowerBound) to \(range.upperBound)"
    case .number(_, let range): "a number from \(range.lowerBound) to \(range.upperBound)"
    case .text: "text"
    case .optionalText: "text or null"
    case .list: "a list of texts"
    }
  }

  /// What a configuration has for it.
  package func value(in configuration: CoordinatorConfiguration) -> SettingValue {
    switch kind {
    case .flag(let path): .flag(configuration[keyPath: path])
    case .integer(let path, _): .integer(configuration[keyPath: path])
    case .number(let path, _): .number(configuration[keyPath: path])
    case .text(let path): .text(configuration[keyPath: path])
    case .optionalText(let path): configuration[keyPath: path].map { .text($0) } ?? .none
    case .list(let path): .list(configuration[keyPath: path])
    }
  }

  /// Sets it; false for a value of another type or out of bounds.
  func set(_ value: SettingValue, in configuration: inout CoordinatorConfiguration) -> Bool {
    switch (kind, value) {
    case (.flag(let path), .flag(let flag)): configuration[keyPath: path] = flag
    case (.integer(let path, let range), .integer(let number)) where range.contains(number):
      configuration[keyPath: path] = number
    case (.number(let path, let range), .integer(let number)) where range.contains(Double(number)):
      configuration[keyPath: path] = Double(number)
    case (.number(let path, let range), .number(let number)) where range.contains(number):
      configuration[keyPath: path] = number
    case (.text(let path), .text(let text)): configuration[keyPath: path] = text
    case (.optionalText(let path), .text(let text)): configuration[keyPath: path] = text
    case (.optionalText(let path), .none): configuration[keyPath: path] = nil
    case (.list(let path), .list(let texts)): configuration[keyPath: path] = texts
    default: return false
    }
    return true
  }

  /// What a variable's text means for it; lists are separated by commas. Nil for what is none.
  func parse(_ text: String) -> SettingValue? {
    switch kind {
    case .flag: Bool(text.lowercased()).map { .flag($0) }
    case .integer: Int(text).map { .integer($0) }
    case .number: Double(text).map { .number($0) }
    case .text, .optionalText: .text(text)
    case .list:
      .list(
        text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
          .filter { !$0.isEmpty })
    }
  }
}

/// A setting's value as files and command lines have it.
package enum SettingValue: Hashable, Sendable, Codable {
  case none
  case flag(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case list([String])

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .none
    } else if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else if let integer = try? container.decode(Int.self) {
      self = .integer(integer)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else {
      self = .list(try container.decode([String].self))
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .none: try container.encodeNil()
    case .flag(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    case .list(let value): try container.encode(value)
    }
  }
}
