import ArgumentParser
import BoundedWork
import CoordinatorCore
import CoordinatorServer
import Foundation

/// Serves batches and hands out work.
struct CoordinatorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "coordinator",
    abstract: "Run a coordinator: take batches, hand out work, verify results.",
    discussion: """
      Settings come from a file (JSON with comments, see --print-config), from variables named \
      TALLY_COORDINATOR_ and the setting's name in capitals, and from the options below: an option \
      beats a variable beats the file.

      Everything it knows is in one folder: a SQLite database, blobs, and the authority that \
      vouches for it and its workers. It may be killed at any moment; the next start goes on where \
      it was. SIGTERM and Ctrl-C stop it cleanly.
      `tally admin backup` copies the folder while it runs.

      Clients speak OpenAI's Files and Batch API under /v1 with keys from `tally key create`; \
      workers join with invitations from `tally invite`. Clients need the folder's ca.pem, unless \
      you give it a certificate that they trust already. Its files are taken up again within \
      seconds when they change, and at once on SIGHUP; its own certificate it renews by itself. \
      Everything else in the configuration is read at the start.

      EXAMPLES:
        tally model add SmolLM2-135M-Instruct.Q4_1.gguf --name smollm2-135m-instruct
        tally coordinator --host 0.0.0.0 --public-url https://tally.example.org:8787
        tally coordinator --certificate fullchain.pem --certificate-key privkey.pem
        tally coordinator --print-config > coordinator.json
        TALLY_COORDINATOR_QUORUM=3 tally coordinator --config coordinator.json
      """)

  @OptionGroup var data: DataOptions

  @Option(
    help: ArgumentHelp(
      "A configuration file.",
      discussion: "When left out: coordinator.json in the data folder, if it is there."),
    completion: .file(extensions: ["json"]))
  var config: String?

  @Flag(
    help: "Print every setting as it is in force, explained, in the form of such a file; then end.")
  var printConfig = false

  @Option(help: "The address to listen on; 0.0.0.0 for all. (default: 127.0.0.1)")
  var host: String?

  @Option(help: "The port to listen on; 0 takes a free one. (default: 8787)")
  var port: Int?

  @Option(
    help: "How clients and workers reach it, for invitations and for the name in its certificate.")
  var publicURL: String?

  @Option(help: "A further name or address for its own certificate; may be repeated.")
  var hostName: [String] = []

  @Option(
    help: "A certificate chain (PEM) of your own, such as a public authority's.",
    completion: .file())
  var certificate: String?

  @Option(help: "The key (PEM) of --certificate.", completion: .file())
  var certificateKey: String?

  @Option(
    help: """
      Threads for replaying units on which workers disagree; 0 leaves that to another process. \
      (default: 2)
      """)
  var replayThreads: Int?

  @Option(
    help: "Seconds between two writings of BOINC's statistics files; 0 writes none. (default: 3600)"
  )
  var statisticsSeconds: Int?

  @OptionGroup(title: "Scheduling") var scheduling: SchedulingOptions

  @OptionGroup var logging: LoggingOptions
  @OptionGroup var parent: ParentOptions

  /// Defaults, file, environment and command line, in this order.
  private func layers() throws -> ConfigurationLayers {
    let environment = ProcessInfo.processInfo.environment
    var layers = ConfigurationLayers(
      CoordinatorConfiguration(dataFolder: DataOptions.shared("coordinator")))
    if let config {
      try layers.apply(file: URL(filePath: config))
    } else {
      try layers.applyFile(inFolder: data.url)
    }
    try layers.apply(environment: environment)
    func set(_ key: String, _ value: SettingValue?) throws {
      guard let value else { return }
      try layers.set(key, value, from: .commandLine, place: "the command line")
    }
    try set("data_folder", data.data.map { .text(URL(filePath: $0).path) })
    try set("host", host.map { .text($0) })
    try set("port", port.map { .integer($0) })
    try set("public_url", publicURL.map { .text($0) })
    if !hostName.isEmpty {
      try set("host_names", .list(layers.configuration.hostNames + hostName))
    }
    try set("certificate", certificate.map { .text($0) })
    try set("certificate_key", certificateKey.map { .text($0) })
    try set("replay_threads", replayThreads.map { .integer($0) })
    try set("statistics_seconds", statisticsSeconds.map { .integer($0) })
    for (key, number) in scheduling.settings { try set(key, number.map { .integer($0) }) }
    try layers.validate()
    return layers
  }

  func validate() throws {
    // What the command line alone can be wrong about is a mistake of usage, whatever a file says.
    guard (0...65535).contains(port ?? 0) else { throw ValidationError("--port takes 0 to 65535") }
    guard (certificate == nil) == (certificateKey == nil) else {
      throw ValidationError("--certificate and --certificate-key belong together")
    }
    guard (0...1024).contains(replayThreads ?? 0) else {
      throw ValidationError("--replay-threads takes 0 to 1024")
    }
    guard (0...31_536_000).contains(statisticsSeconds ?? 0) else {
      throw ValidationError("--statistics-seconds takes 0 to 31536000")
    }
    if let publicURL {
      guard let url = URL(string: publicURL), url.scheme == "https", url.host() != nil else {
        throw ValidationError("--public-url takes https://HOST:PORT")
      }
    }
  }

  func run() async throws {
    let layers = try layers()
    if printConfig { return Terminal.output.line(try layers.rendered()) }
    let configuration = layers.configuration
    parent.watch()
    FreedMemory.keepLittle()
    let manager = ServiceManager()
    let keepAlive = manager.flatMap { manager in
      manager.pulse.map { pulse in
        // A tick may come late on a busy machine; one that does not come for minutes hangs.
        KeepAlive(every: pulse, patience: .seconds(120 + configuration.tickSeconds)) {
          manager.beat()
        }
      }
    }
    keepAlive?.start()
    try await CoordinatorServer.run(
      configuration, logger: logging.makeLogger("coordinator"),
      onListening: { port in
        let (host, folder) = (configuration.host, configuration.dataFolder)
        let reachable = ["0.0.0.0", "::", ""].contains(host) ? "localhost" : host
        let address = configuration.publicURL ?? "https://\(reachable):\(port)"
        do {
          try PublicAddress.save(address, in: folder)
        } catch {
          Terminal.error.line("cannot write the address into \(folder.path): \(error)")
        }
        Terminal.output.line("coordinator ready at \(address), authority in \(folder.path)/ca.pem")
        manager?.tell("serves \(address)")
      },
      onTick: { keepAlive?.noteResponse() })
    manager?.tellStopping()
  }
}

/// Numbers of the scheduler that an operator may want to change.
struct SchedulingOptions: ParsableArguments {
  private static let standard = CoordinatorPolicy()

  @Option(help: "Seconds of work that a unit is cut for. (default: \(standard.targetUnitSeconds))")
  var unitSeconds: Int?

  @Option(
    help:
      "Requests in a unit for a worker of unknown speed. (default: \(standard.firstUnitSequences))")
  var firstUnitRequests: Int?

  @Option(help: "Requests in a unit, at most. (default: \(standard.maximumSequencesPerUnit))")
  var maximumUnitRequests: Int?

  @Option(help: "Seconds between a worker's signs of life. (default: \(standard.heartbeatSeconds))")
  var heartbeatSeconds: Int?

  @Option(
    help: """
      Seconds of silence after which a worker's unit may go to another, once twice the time that \
      it should take, or five times the silence, has passed. (default: \(standard.silenceSeconds))
      """)
  var silenceSeconds: Int?

  @Option(
    help: "Seconds after which an idle worker asks again. (default: \(standard.retryAfterSeconds))")
  var idleSeconds: Int?

  /// What is set, under the settings' names.
  var settings: [(key: String, number: Int?)] {
    [
      ("unit_seconds", unitSeconds), ("first_unit_requests", firstUnitRequests),
      ("maximum_unit_requests", maximumUnitRequests), ("heartbeat_seconds", heartbeatSeconds),
      ("silence_seconds", silenceSeconds), ("idle_seconds", idleSeconds),
    ]
  }

  func validate() throws {
    guard settings.allSatisfy({ (1...86400).contains($0.number ?? 1) }) else {
      throw ValidationError("scheduling numbers are 1 to 86400")
    }
    if let heartbeatSeconds, let silenceSeconds, heartbeatSeconds > silenceSeconds {
      throw ValidationError("--heartbeat-seconds must not exceed --silence-seconds")
    }
  }
}
