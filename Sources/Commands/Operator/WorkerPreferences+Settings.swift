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

  /// Every key with its value, in the order of the file's documentation; `none` where nothing
  /// limits.
  var spelled: [(key: String, value: String)] {
    get throws {
      let settings = try asSettings
      return CodingKeys.allCases.map { ($0.rawValue, settings[$0.rawValue]?.spelled ?? "none") }
    }
  }

  /// Changes the settings of a preferences file and leaves what it does not name alone, so that a
  /// later default holds there. An empty value or `none` brings a default back.
  ///
  /// - Parameter stored: the file's bytes; nil where there is no file.
  /// - Returns: the file's new bytes, and the preferences that they mean.
  /// - Throws: `ValidationError` for what is no KEY=VALUE, and what the preferences say to the
  ///   values.
  static func changing(
    _ stored: Data?, by changes: [String]
  ) throws -> (file: Data, preferences: WorkerPreferences) {
    var settings: Settings = [:]
    if let stored {
      let named = try JSONDecoder().decode([String: JSONSetting?].self, from: stored)
      settings = named.compactMapValues { $0 }
    }
    for change in changes {
      let parts = change.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw ValidationError("\"\(change)\" is not KEY=VALUE")
      }
      let key = String(parts[0])
      guard CodingKeys(rawValue: key) != nil else {
        // With the words of a file that holds it.
        settings[key] = .flag(true)
        continue
      }
      let isDefault = parts[1].isEmpty || (parts[1] == "none" && isUnlimited(key))
      settings[key] = isDefault ? nil : JSONSetting(parts[1])
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      let file = try encoder.encode(settings)
      return (file + Data("\n".utf8), try JSONDecoder().decode(Self.self, from: file))
    } catch let DecodingError.typeMismatch(type, context) {
      let key = context.codingPath.map(\.stringValue).joined(separator: ".")
      let kind = type == Bool.self ? "true or false" : "a whole number"
      throw ValidationError(
        "\(key) takes \(kind)\(isUnlimited(key) ? ", or none" : ""); \(key)= brings the default "
          + "back")
    } catch let error as PreferenceError {
      throw ValidationError(error.description)
    }
  }

  /// Whether nothing limits where a setting is not set.
  private static func isUnlimited(_ key: String) -> Bool {
    (try? WorkerPreferences().asSettings[key]) == nil
  }
}
