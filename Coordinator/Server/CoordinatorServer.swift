import CoordinatorAPI
import CoordinatorDashboard
import CoordinatorStore
import Foundation
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import ServiceLifecycle

/// Puts a coordinator together and runs it.
package enum CoordinatorServer {
  /// Serves until SIGTERM or SIGINT, then lets running requests end.
  ///
  /// Everything that was acknowledged is durable before, so that a SIGKILL loses nothing: the next
  /// run takes up batches that were being validated or written, leases that run, and replays.
  ///
  /// - Parameters:
  ///   - onListening: called with the port once connections are accepted.
  ///   - onTick: called every `tickSeconds` as long as the store answers.
  /// - Throws: `ServerError`; what opening the data folder or binding the port throws.
  package static func run(
    _ configuration: CoordinatorConfiguration, logger: Logger,
    onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in },
    onTick: @escaping @Sendable () -> Void = {}
  ) async throws {
    let folder = try DataFolder(opening: configuration.dataFolder, policy: configuration.policy)
    let lock = try folder.lock()
    defer { lock.unlock() }
    try folder.blobs.removeAbandoned(before: Date(timeIntervalSinceNow: -86400))
    try await folder.blobs.restoreInterrupted()
    let environment = folder.environment(
      limits: configuration.limits, diskGuard: configuration.diskGuard)
    let application = try application(
      configuration, folder: folder, environment: environment, logger: logger,
      onListening: onListening)
    var services: [any Service] = [application]
    services += backgroundServices(
      configuration, folder: folder, environment, logger, onTick: onTick)
    var group = ServiceGroupConfiguration(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    group.maximumGracefulShutdownDuration = .seconds(configuration.shutdownSeconds)
    // A replay ends after the step that it is in.
    group.maximumCancellationDuration = .seconds(60)
    try await ServiceGroup(configuration: group).run()
    try folder.store.close()
  }

  private static func application(
    _ configuration: CoordinatorConfiguration, folder: DataFolder, environment: APIEnvironment,
    logger: Logger, onListening: @escaping @Sendable (Int) async -> Void
  ) throws -> some ApplicationProtocol {
    let tls = try TLSListener.configuration(
      certificate: certificate(configuration, folder), authority: folder.authority)
    let router = APIRouter.make(environment)
    if configuration.dashboard {
      try DashboardRoutes(
        environment: environment,
        live: LivePages(
          limit: configuration.livePages, limitPerAddress: configuration.livePagesPerAddress)
      ).add(to: router)
    }
    let limits = connectionLimits(configuration, logger: logger)
    let http = HTTP1Channel.Configuration(
      idleTimeout: .seconds(Int64(configuration.idleConnectionSeconds)),
      httpDecoderConfiguration: .init(
        maxHeaderFieldSize: 16384, maxHeaderListSize: 32768, maxHeaderFieldCount: 100))
    let counts = ConnectionCounts()
    return try Application(
      router: router,
      server: .tls(
        HTTPServerBuilder { responder in
          GuardedHTTPChannel(
            base: HTTP1Channel(responder: responder, configuration: http), limits: limits,
            counts: counts)
        }, tlsConfiguration: tls),
      configuration: .init(
        address: .hostname(configuration.host, port: configuration.port),
        serverName: nil, backlog: 1024, reuseAddress: true,
        availableConnectionsDelegate: MaximumAvailableConnections(
          limits.connections, logger: logger)),
      onServerRunning: { channel in
        let port = channel.localAddress?.port ?? configuration.port
        logger.info(
          "coordinator listens", metadata: ["host": "\(configuration.host)", "port": "\(port)"])
        await onListening(port)
      },
      logger: logger)
  }

  /// What the configuration asks for, as far as the system's file descriptors reach.
  private static func connectionLimits(
    _ configuration: CoordinatorConfiguration, logger: Logger
  ) -> ConnectionLimits {
    let wanted = configuration.connections
    let descriptors = DescriptorLimit.raise(toward: wanted.descriptors)
    let limits = wanted.within(descriptors: descriptors)
    if limits.connections < wanted.connections {
      logger.warning(
        "fewer connections than configured: too few file descriptors",
        metadata: ["connections": "\(limits.connections)", "descriptors": "\(descriptors)"])
    }
    return limits
  }

  private static func certificate(
    _ configuration: CoordinatorConfiguration, _ folder: DataFolder
  ) throws -> (chainPEM: String, keyPEM: String) {
    guard let own = configuration.publicCertificate else {
      let issued = try folder.serverCertificate(hosts: configuration.certificateHosts)
      return (issued.certificatePEM, issued.privateKeyPEM)
    }
    func text(_ file: URL) throws -> String {
      do {
        return try String(contentsOf: file, encoding: .utf8)
      } catch {
        throw ServerError.invalidCertificate(file.path, reason: "the file cannot be read")
      }
    }
    return (try text(own.chainFile), try text(own.keyFile))
  }

  private static func backgroundServices(
    _ configuration: CoordinatorConfiguration, folder: DataFolder, _ environment: APIEnvironment,
    _ logger: Logger, onTick: @escaping @Sendable () -> Void
  ) -> [any Service] {
    var services: [any Service] = [
      ValidationService(
        environment: environment, atOnce: configuration.validationsAtOnce,
        pollSeconds: configuration.pollSeconds, logger: logger),
      FinalisationService(
        environment: environment, pollSeconds: configuration.pollSeconds, logger: logger),
      FineTuningService(
        environment: environment, atOnce: configuration.validationsAtOnce,
        pollSeconds: configuration.pollSeconds, logger: logger),
      TickService(
        environment: environment, tickSeconds: configuration.tickSeconds, logger: logger,
        onTick: onTick),
      SweepService(
        sweep: StorageSweep(folder: folder, retention: configuration.retention),
        sweepSeconds: configuration.sweepSeconds, now: environment.now, logger: logger),
    ]
    if configuration.statisticsSeconds > 0 {
      services.append(
        StatisticsService(
          environment: environment, folder: folder.statistics,
          seconds: configuration.statisticsSeconds, logger: logger))
    }
    if configuration.replayThreads > 0 {
      services.append(
        ReplayService(
          environment: environment, blobs: folder.blobs, threads: configuration.replayThreads,
          pollSeconds: configuration.pollSeconds, logger: logger))
    }
    return services
  }
}
