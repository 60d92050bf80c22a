import ArgumentParser
import Foundation
import WorkerCore

extension WorkerPreferences {
  private typealias Settings = [String: JSONSetting]

  /// A value of one of the types that settings have.
  private enum JSONSetting: Codable {
    case flag(Bool)
    case number(Int)
    case text(String)

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if let flag = try? value.decode(Bool.self) {
        self = .flag(flag)
      } else if let number = try? value.decode(Int.self) {
        self = .number(number)
      } else {
        self = .text(try value.decode(String.self))
      }
    }

    init(_ text: Substring) {
      self =
        Bool(String(text)).map { .flag($0) } ?? Int(text).map { .number($0) } ?? .text(String(text))
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .flag(let flag): try container.encode(flag)
      case .number(let number): try container.encode(number)
      case .text(let text): try container.encode(text)
      }
    }

    var spelled: String {
      switch self {
      case .flag(let flag): String(flag)
      case .number(let number): String(number)
      case .text(let text): text
      }
    }
  }

  private var asSettings: Settings {
    get throws { try JSONDecoder().decode(Settings.self, from: JSONEncoder().encode(self)) }
  }

  /// Every key with its value, in the order of the file's documentation; `none` where nothing limits.
  var spelled: [(key: String, value: String)] {
    get throws {
      let settings = try asSettings
      return CodingKeys.allCases.map { ($0.rawValue, settings[$0.rawValue]?.spelled ?? "none") }
    }
  }

  /// - Throws: `ValidationError` for what is no KEY=VALUE, and what the preferences say to the values.
  func changed(by changes: [String]) throws -> WorkerPreferences {
    var settings = try asSettings
    for change in changes {
      let parts = change.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw ValidationError("\"\(change)\" is not KEY=VALUE")
      }
      settings[String(parts[0])] = parts[1].isEmpty ? nil : JSONSetting(parts[1])
    }
    do {
      return try JSONDecoder().decode(Self.self, from: JSONEncoder().encode(settings))
    } catch let DecodingError.typeMismatch(type, context) {
      let key = context.codingPath.map(\.stringValue).joined(separator: ".")
      throw ValidationError("\(key) takes \(type == Bool.self ? "true or false" : "a whole number")")
    } catch let error as PreferenceError {
      throw ValidationError(error.description)
    }
  }
}
