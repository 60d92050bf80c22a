import ArgumentParser
import CoordinatorCore
import CoordinatorServer
import Foundation

/// Serves batches and hands out work.
struct CoordinatorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "coordinator", abstract: "Run a coordinator: take batches, hand out work, verify results.",
    discussion: """
      Everything it knows is in one folder: a SQLite database, blobs, and the authority that vouches for it and its \
      workers. It may be killed at any moment; the next start goes on where it was. SIGTERM and Ctrl-C stop it cleanly.

      Clients speak OpenAI's Files and Batch API under /v1 with keys from `tally key create`; workers join with \
      invitations from `tally invite`. Clients need the folder's ca.pem, unless you give it a certificate that they \
      trust already.

      EXAMPLES:
        tally model add SmolLM2-135M-Instruct.Q4_1.gguf --name smollm2-135m-instruct
        tally coordinator --host 0.0.0.0 --public-url https://tally.example.org:8787
        tally coordinator --certificate fullchain.pem --certificate-key privkey.pem
      """)

  @Option(help: "Seconds between two writings of BOINC's statistics files; 0 writes none.")
  var statisticsSeconds = CoordinatorConfiguration(dataFolder: URL(filePath: "/")).statisticsSeconds

  @OptionGroup var data: DataOptions

  @Option(help: "The address to listen on; 0.0.0.0 for all.")
  var host = "127.0.0.1"

  @Option(help: "The port to listen on; 0 takes a free one.")
  var port = 8787

  @Option(
    help: "How clients and workers reach it, for invitations and for the name in its certificate.")
  var publicURL: String?

  @Option(help: "A further name or address for its own certificate; may be repeated.")
  var hostName: [String] = []

  @Option(help: "A certificate chain (PEM) of your own, such as a public authority's.", completion: .file())
  var certificate: String?

  @Option(help: "The key (PEM) of --certificate.", completion: .file())
  var certificateKey: String?

  @Option(
    help: "Threads for replaying units on which workers disagree; 0 leaves that to another process.")
  var replayThreads = 2

  @OptionGroup(title: "Scheduling") var scheduling: SchedulingOptions

  @OptionGroup var logging: LoggingOptions
  @OptionGroup var parent: ParentOptions

  func validate() throws {
    guard (0...65535).contains(port) else { throw ValidationError("--port takes 0 to 65535") }
    guard (certificate == nil) == (certificateKey == nil) else {
      throw ValidationError("--certificate and --certificate-key belong together")
    }
    guard (0...1024).contains(replayThreads) else {
      throw ValidationError("--replay-threads takes 0 to 1024")
    }
    guard (0...31_536_000).contains(statisticsSeconds) else {
      throw ValidationError("--statistics-seconds takes 0 to 31536000")
    }
    if let publicURL {
      guard let url = URL(string: publicURL), url.scheme == "https", url.host() != nil else {
        throw ValidationError("--public-url takes https://HOST:PORT")
      }
    }
  }

  func run() async throws {
    var configuration = CoordinatorConfiguration(dataFolder: data.url)
    configuration.host = host
    configuration.port = port
    configuration.hostNames += hostName
    if let name = publicURL.flatMap({ URL(string: $0)?.host(percentEncoded: false) }),
      !configuration.hostNames.contains(name)
    {
      configuration.hostNames.append(name)
    }
    if let certificate, let certificateKey {
      configuration.publicCertificate = CoordinatorConfiguration.PublicCertificate(
        chainFile: URL(filePath: certificate), keyFile: URL(filePath: certificateKey))
    }
    configuration.replayThreads = replayThreads
    configuration.policy = scheduling.policy
    configuration.statisticsSeconds = statisticsSeconds
    parent.watch()
    let manager = ServiceManager()
    try await CoordinatorServer.run(
      configuration, logger: logging.makeLogger("coordinator"),
      onListening: { [publicURL, host, folder = data.url] port in
        let reachable = ["0.0.0.0", "::", ""].contains(host) ? "localhost" : host
        let address = publicURL ?? "https://\(reachable):\(port)"
        do {
          try PublicAddress.save(address, in: folder)
        } catch {
          Terminal.error.line("cannot write the address into \(folder.path): \(error)")
        }
        Terminal.output.line("coordinator ready at \(address), authority in \(folder.path)/ca.pem")
        manager?.tell("serves \(address)")
      },
      onTick: { if manager?.pulse != nil { manager?.beat() } })
    manager?.tellStopping()
  }
}

/// Numbers of the scheduler that an operator may want to change.
struct SchedulingOptions: ParsableArguments {
  @Option(help: "Seconds of work that a unit is cut for.")
  var unitSeconds = CoordinatorPolicy().targetUnitSeconds

  @Option(help: "Requests in a unit for a worker of unknown speed.")
  var firstUnitRequests = CoordinatorPolicy().firstUnitSequences

  @Option(help: "Requests in a unit, at most.")
  var maximumUnitRequests = CoordinatorPolicy().maximumSequencesPerUnit

  @Option(help: "Seconds between a worker's signs of life.")
  var heartbeatSeconds = CoordinatorPolicy().heartbeatSeconds

  @Option(help: "Seconds of silence after which a worker's unit is given to another.")
  var silenceSeconds = CoordinatorPolicy().silenceSeconds

  @Option(help: "Seconds after which an idle worker asks again.")
  var idleSeconds = CoordinatorPolicy().retryAfterSeconds

  func validate() throws {
    let numbers = [
      unitSeconds, firstUnitRequests, maximumUnitRequests, heartbeatSeconds, silenceSeconds,
      idleSeconds,
    ]
    guard numbers.allSatisfy({ (1...86400).contains($0) }) else {
      throw ValidationError("scheduling numbers are 1 to 86400")
    }
    guard heartbeatSeconds <= silenceSeconds else {
      throw ValidationError("--heartbeat-seconds must not exceed --silence-seconds")
    }
  }

  var policy: CoordinatorPolicy {
    var policy = CoordinatorPolicy()
    policy.targetUnitSeconds = unitSeconds
    policy.firstUnitSequences = firstUnitRequests
    policy.maximumSequencesPerUnit = maximumUnitRequests
    policy.heartbeatSeconds = heartbeatSeconds
    policy.silenceSeconds = silenceSeconds
    policy.retryAfterSeconds = idleSeconds
    return policy
  }
}
