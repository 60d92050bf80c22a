import CoordinatorCore
import Foundation

/// Puts a configuration together from its sources, weakest first: defaults, file, environment,
/// command line. Remembers where each value came from.
package struct ConfigurationLayers: Sendable {
  /// Where a value came from.
  package enum Source: String, Hashable, Sendable {
    case standard = "default"
    case file
    case environment
    case commandLine = "command line"
  }

  package private(set) var configuration: CoordinatorConfiguration
  private let standard: CoordinatorConfiguration
  private var sources: [String: Source] = [:]

  /// Bytes that a configuration file has at most.
  private static let fileLimitBytes = 1 << 20

  /// - Parameter standard: the configuration where nothing is set.
  package init(_ standard: CoordinatorConfiguration) {
    self.standard = standard
    configuration = standard
  }

  /// Sets what a file says: an object in JSON5, that is JSON with comments.
  ///
  /// - Throws: `ConfigurationError` that names file and key, also for a key that does not exist.
  package mutating func apply(file: URL) throws {
    let data: Data
    do {
      data = try Data(contentsOf: file)
    } catch {
      throw ConfigurationError(place: file.path, key: nil, reason: "the file cannot be read")
    }
    try apply(json: data, place: file.path)
  }

  /// Applies `coordinator.json` of a data folder, if it is there.
  package mutating func applyFile(inFolder folder: URL) throws {
    let file = folder.appending(path: "coordinator.json")
    if FileManager.default.fileExists(atPath: file.path) { try apply(file: file) }
  }

  /// The same as `apply(file:)` for a file's bytes.
  package mutating func apply(json data: Data, place: String) throws {
    guard data.count <= Self.fileLimitBytes else {
      throw ConfigurationError(place: place, key: nil, reason: "the file is larger than 1 MiB")
    }
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    let values: [String: SettingValue]
    do {
      values = try decoder.decode([String: SettingValue].self, from: data)
    } catch DecodingError.typeMismatch(_, let context) {
      throw ConfigurationError(
        place: place, key: context.codingPath.first?.stringValue,
        reason: "expected a number, text, true or false, a list of texts, or null")
    } catch {
      throw ConfigurationError(
        place: place, key: nil,
        reason: "it is no JSON object of keys and values (\(Self.detail(error)))")
    }
    for (key, value) in values.sorted(by: { $0.key < $1.key }) {
      try set(key, value, from: .file, place: place)
    }
  }

  private static func detail(_ error: any Error) -> String {
    guard case DecodingError.dataCorrupted(let context) = error else { return "\(error)" }
    let cause = context.underlyingError.map { ($0 as NSError).userInfo["NSDebugDescription"] }
    return (cause as? String) ?? context.debugDescription
  }

  /// Sets what variables named `TALLY_COORDINATOR_KEY` say.
  package mutating func apply(environment: [String: String]) throws {
    for setting in CoordinatorSetting.all {
      guard let text = environment[setting.variable] else { continue }
      guard let value = setting.parse(text) else {
        throw ConfigurationError(
          place: "the environment", key: setting.variable, reason: "expected \(setting.type)")
      }
      try set(setting.key, value, from: .environment, place: "the environment")
    }
  }

  /// Sets one value that stronger sources may replace.
  ///
  /// - Parameter place: names the source in errors.
  package mutating func set(
    _ key: String, _ value: SettingValue, from source: Source, place: String
  ) throws {
    guard let setting = CoordinatorSetting.all.first(where: { $0.key == key }) else {
      throw ConfigurationError(
        place: place, key: key,
        reason: "there is no such setting; tally coordinator --print-config lists them all")
    }
    guard setting.set(value, in: &configuration) else {
      throw ConfigurationError(place: place, key: key, reason: "expected \(setting.type)")
    }
    sources[key] = source
  }

  /// What no setting alone can be wrong about.
  ///
  /// - Throws: `ConfigurationError`.
  package func validate() throws {
    func require(_ holds: Bool, _ key: String, _ reason: String) throws {
      guard holds else {
        throw ConfigurationError(
          place: "the \(sources[key, default: .standard].rawValue)", key: key, reason: reason)
      }
    }
    let policy = configuration.policy
    try require(
      policy.heartbeatSeconds <= policy.silenceSeconds, "heartbeat_seconds",
      "it must not exceed silence_seconds (\(policy.silenceSeconds))")
    try require(
      (configuration.certificate == nil) == (configuration.certificateKey == nil), "certificate",
      "certificate and certificate_key belong together")
    if let text = configuration.publicURL {
      let url = URL(string: text)
      try require(
        url?.scheme == "https" && url?.host() != nil, "public_url", "expected https://HOST:PORT")
    }
  }

  /// The effective configuration with every setting explained: a file that `apply` takes.
  package func rendered() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    func spelled(_ value: SettingValue) throws -> String {
      String(decoding: try encoder.encode(value), as: UTF8.self)
    }
    let entries = try CoordinatorSetting.all.map { setting in
      let source = sources[setting.key, default: .standard]
      let origin = source == .standard ? "" : " Set by: \(source.rawValue)."
      return """
          // \(setting.about)
          // \(setting.type.prefix(1).uppercased())\(setting.type.dropFirst()). \
        Default: \(try spelled(setting.value(in: standard))).\(origin)
          "\(setting.key)": \(try spelled(setting.value(in: configuration)))
        """
    }
    return """
      // Settings of tally coordinator, as they are in force. A variable TALLY_COORDINATOR_KEY sets
      // the key KEY; command line beats environment beats file beats default.
      {
      \(entries.joined(separator: ",\n\n"))
      }
      """
  }
}

/// Why a configuration cannot be used.
package struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A file's path, or words for another source.
  package let place: String
  package let key: String?
  package let reason: String

  package var description: String {
    key.map { "\(place): \($0): \(reason)" } ?? "\(place): \(reason)"
  }
}
