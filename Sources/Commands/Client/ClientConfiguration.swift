import ArgumentParser
import Foundation

/// What the client commands need to know of a coordinator.
struct ClientConfiguration: Sendable {
  /// `https://host:port`, without a path.
  let url: URL
  let key: String?
  /// A PEM file of the authority to trust; nil trusts what the machine trusts.
  let authorityPath: String?
}

/// Where the coordinator is: options, then the environment, then a file.
struct ConnectionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The coordinator, for example https://tally.example.org:8443.",
      discussion: "Else TALLY_URL, else \"url\" in ~/.config/tally/client.json."))
  var url: String?

  @Option(
    help: ArgumentHelp(
      """
      Your API key. Better in TALLY_API_KEY or the file: other users of this machine can read your \
      options.
      """,
      discussion: "Else TALLY_API_KEY, else \"key\" in ~/.config/tally/client.json."))
  var key: String?

  @Option(
    help: ArgumentHelp(
      "The coordinator's ca.pem, when its certificate is of its own making.",
      discussion: "Else TALLY_CA, else \"ca\" in ~/.config/tally/client.json."))
  var ca: String?

  /// The first that says something wins, each of the three on its own.
  func resolved(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> ClientConfiguration {
    let file = try SavedConfiguration.load(environment: environment)
    func value(_ option: String?, _ name: String, _ saved: String?) -> String? {
      [option, environment[name], saved].lazy.compactMap { $0 }.first { !$0.isEmpty }
    }
    guard let spelled = value(url, "TALLY_URL", file?.url) else {
      throw CommandError(
        """
        which coordinator? Pass --url https://HOST:PORT, set TALLY_URL, or write \
        {"url": "...", "key": "...", "ca": "..."} to \(SavedConfiguration.path(environment).path)
        """)
    }
    guard let parsed = URL(string: spelled), let scheme = parsed.scheme, parsed.host() != nil,
      scheme == "https" || scheme == "http"
    else {
      throw CommandError("\"\(spelled)\" is not the address of a coordinator: https://HOST:PORT")
    }
    return ClientConfiguration(
      url: parsed, key: value(key, "TALLY_API_KEY", file?.key),
      authorityPath: value(ca, "TALLY_CA", file?.ca))
  }
}

/// `~/.config/tally/client.json`.
struct SavedConfiguration: Codable {
  var url: String?
  var key: String?
  var ca: String?

  static func path(_ environment: [String: String]) -> URL {
    let base =
      environment["XDG_CONFIG_HOME"].map { URL(filePath: $0) }
      ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".config")
    return base.appending(path: "tally/client.json")
  }

  static func load(environment: [String: String]) throws -> SavedConfiguration? {
    let path = path(environment)
    guard FileManager.default.fileExists(atPath: path.path) else { return nil }
    do {
      return try JSONDecoder().decode(SavedConfiguration.self, from: Data(contentsOf: path))
    } catch {
      throw CommandError(
        "\(path.path) is not a JSON object with \"url\", \"key\" and \"ca\": \(error)")
    }
  }

  /// Writes the file, readable by its owner only: it holds a key.
  func save(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> URL {
    let path = Self.path(environment)
    try FileManager.default.createDirectory(
      at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let partial = path.appendingPathExtension("new")
    try? FileManager.default.removeItem(at: partial)
    guard
      FileManager.default.createFile(
        atPath: partial.path, contents: try encoder.encode(self),
        attributes: [.posixPermissions: 0o600])
    else { throw CommandError("cannot write \(partial.path)") }
    guard rename(partial.path, path.path) == 0 else {
      throw CommandError("cannot write \(path.path): \(String(cString: strerror(errno)))")
    }
    return path
  }
}
