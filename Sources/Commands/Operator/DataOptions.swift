import ArgumentParser
import CoordinatorServer
import Foundation

/// Which coordinator's folder an operator's command works on.
struct DataOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The coordinator's data folder; made if it is missing.",
      discussion: """
        When left out: TALLY_COORDINATOR_DATA_FOLDER, else ~/.local/share/tally/coordinator, or \
        for root the installed service's, /var/lib/tallystick-coordinator.
        """, valueName: "folder"),
    completion: .directory)
  var data: String?

  var url: URL {
    let named = data ?? ProcessInfo.processInfo.environment["TALLY_COORDINATOR_DATA_FOLDER"]
    return named.map { URL(filePath: $0) } ?? Self.shared("coordinator")
  }

  /// The folder of the service `NAME` for itself and for root, else `$XDG_DATA_HOME/tally/NAME`.
  static func shared(
    _ name: String, environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> URL {
    let service = SystemService(name)
    if let folder = service.folder(environment: environment) { return URL(filePath: folder) }
    let base =
      environment["XDG_DATA_HOME"].map { URL(filePath: $0) }
      ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".local/share")
    return base.appending(path: "tally").appending(path: name)
  }

  /// Opens the folder beside a coordinator that may be running: the database is the truth.
  ///
  /// Root becomes the user whose folder it is, since the service could not read what root makes.
  /// Rules of verification are the coordinator's own: of the folder's configuration file and the
  /// environment.
  func open() throws -> DataFolder { try openConfigured().folder }

  /// Opens the folder, with the settings that its coordinator has without a command line.
  func openConfigured() throws -> (folder: DataFolder, configuration: CoordinatorConfiguration) {
    try SystemService.become(ownerOf: url.path)
    var layers = ConfigurationLayers(CoordinatorConfiguration(dataFolder: url))
    try layers.applyFile(inFolder: url)
    try layers.apply(environment: ProcessInfo.processInfo.environment)
    let folder = try DataFolder(opening: url, policy: layers.configuration.policy)
    return (folder, layers.configuration)
  }
}

/// The address that a coordinator told its folder, so that invitations can name it.
enum PublicAddress {
  private static func file(_ folder: URL) -> URL { folder.appending(path: "url") }

  static func save(_ address: String, in folder: URL) throws {
    try Data((address + "\n").utf8).write(to: file(folder), options: .atomic)
  }

  static func load(from folder: URL) -> String? {
    let text = try? String(contentsOf: file(folder), encoding: .utf8)
    return text?.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

/// Prints a value as one JSON line.
func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  Terminal.output.json(try encoder.encode(value))
}
