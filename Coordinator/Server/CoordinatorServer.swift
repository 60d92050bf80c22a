import CoordinatorAPI
import CoordinatorDashboard
import CoordinatorCore
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
    // `CertificateService` takes it from here on; before, it is no reason to end either.
    signal(SIGHUP, SIG_IGN)
    let folder = try DataFolder(opening: configuration.dataFolder, policy: configuration.policy)
    let lock = try folder.lock()
    defer { lock.unlock() }
    let clock = SteadyClock(kept: try await folder.store.keptClock())
    // Files carry the calendar's time: nobody knows how old they are while it is not believed.
    if clock.jumpSeconds == nil {
      try folder.blobs.removeAbandoned(before: clock.now().adding(seconds: -86400).date)
    }
    try await folder.blobs.restoreInterrupted()
    var environment = folder.environment(
      limits: configuration.limits, diskGuard: configuration.diskGuard, now: { clock.now() })
    environment.replays = configuration.replayThreads > 0
    environment.clockJumpSeconds = { clock.jumpSeconds }
    let certificate = try certificate(configuration, folder, clock)
    environment.serverCertificateEnd = { certificate.end }
    let application = try application(
      configuration, folder: folder, environment: environment, certificate: certificate,
      logger: logger, onListening: onListening)
    var services: [any Service] = [application]
    services += backgroundServices(
      configuration, folder: folder, environment, clock, logger, onTick: onTick)
    services.append(
      CertificateService(
        certificate: certificate, isOwn: configuration.publicCertificate == nil,
        seconds: configuration.pollSeconds, logger: logger))
    var group = ServiceGroupConfiguration(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    group.maximumGracefulShutdownDuration = .seconds(configuration.shutdownSeconds)
    // A replay ends after the step that it is in.
    group.maximumCancellationDuration = .seconds(60)
    do {
      try await ServiceGroup(configuration: group).run()
    } catch {
      throw ServerError(listening: error, configuration) ?? error
    }
    try folder.store.close()
  }

  private static func application(
    _ configuration: CoordinatorConfiguration, folder: DataFolder, environment: APIEnvironment,
    certificate: ServerCertificate, logger: Logger,
    onListening: @escaping @Sendable (Int) async -> Void
  ) throws -> some ApplicationProtocol {
    let tls = try TLSListener.configuration(
      certificate: certificate, authority: folder.authority)
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
        }, configuration: tls),
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
    _ configuration: CoordinatorConfiguration, _ folder: DataFolder, _ clock: SteadyClock
  ) throws -> ServerCertificate {
    guard let own = configuration.publicCertificate else {
      return try ServerCertificate(
        issuedIn: folder, hosts: configuration.certificateHosts, clock: clock)
    }
    return try ServerCertificate(chainFile: own.chainFile, keyFile: own.keyFile)
  }

  private static func backgroundServices(
    _ configuration: CoordinatorConfiguration, folder: DataFolder, _ environment: APIEnvironment,
    _ clock: SteadyClock, _ logger: Logger, onTick: @escaping @Sendable () -> Void
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
        environment: environment, clock: clock, tickSeconds: configuration.tickSeconds,
        logger: logger, onTick: onTick),
      SweepService(
        sweep: StorageSweep(folder: folder, retention: configuration.retention),
        sweepSeconds: configuration.sweepSeconds, clock: clock, logger: logger),
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
