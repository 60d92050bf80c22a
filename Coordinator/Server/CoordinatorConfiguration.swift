import CoordinatorAPI
import CoordinatorCore
import Foundation

/// Every setting of a coordinator. What operators may set has an entry in `CoordinatorSetting.all`.
package struct CoordinatorConfiguration: Sendable {
  /// The folder of the database, the blobs, the authority and the server's certificate. Made if it
  /// is missing.
  package var dataFolder: URL
  /// The address to listen on. An IPv6 address may stand in brackets, as in a URL.
  package var host = "127.0.0.1" {
    didSet {
      if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    }
  }
  /// The port to listen on; 0 takes a free one.
  package var port = 8787
  /// How clients and workers reach it, `https://HOST:PORT`; nil where nobody said.
  package var publicURL: String?
  /// DNS names and addresses that clients use, for the certificate that the coordinator issues to
  /// itself. The address to listen on is added unless it stands for all, and the public URL's host.
  package var hostNames: [String] = ["localhost", "127.0.0.1", "::1"]
  /// A certificate chain (PEM) and its key (PEM) of the operator's own, such as one of a public
  /// authority, so that stock clients trust the server, as paths. Nil: the coordinator's authority
  /// issues one.
  package var certificate: String?
  package var certificateKey: String?
  /// Threads that replays of disputed units compute with; 0 leaves replays to another process.
  package var replayThreads = 2
  /// Seconds between looks at the clock for leases, batches and files that are due.
  package var tickSeconds = 2
  /// Seconds that a background service sleeps at most before it looks for work that another process
  /// left.
  package var pollSeconds = 2
  /// Batches that are validated side by side, so that a small one need not wait for a large one.
  package var validationsAtOnce = 3
  /// Seconds between two writings of BOINC's statistics files; 0 writes none.
  package var statisticsSeconds = 3600
  /// Whether the pages for people are served.
  package var dashboard = true
  /// Open pages that are kept up to date at once.
  package var livePages = 500
  /// Live pages of one address (of IPv6, one network of 64 bits).
  package var livePagesPerAddress = 50
  /// Connections at once, and how fast requests have to come over them.
  package var connections = ConnectionLimits()
  /// Seconds after which a connection on which nothing happens is closed.
  package var idleConnectionSeconds = 120
  /// Seconds that requests get to end at a graceful stop.
  package var shutdownSeconds = 15
  /// Scheduling and verification: unit size, leases, quorum.
  package var policy = CoordinatorPolicy()
  /// How long blobs are kept that nothing needs any more.
  package var retention = BlobRetention()
  /// Seconds between looks for such blobs.
  package var sweepSeconds = 3_600
  /// When the disk is too full to take anything.
  package var diskGuard = DiskGuard()
  /// Sizes and counts that clients and workers may send.
  package var limits = APILimits()

  package init(dataFolder: URL) { self.dataFolder = dataFolder }

  /// The data folder as a path.
  var dataPath: String {
    get { dataFolder.path }
    set { dataFolder = URL(filePath: newValue) }
  }

  /// The operator's own certificate, when both its files are named.
  var publicCertificate: PublicCertificate? {
    guard let certificate, let certificateKey else { return nil }
    return PublicCertificate(
      chainFile: URL(filePath: certificate), keyFile: URL(filePath: certificateKey))
  }

  /// The operator's own certificate.
  struct PublicCertificate: Hashable, Sendable {
    var chainFile: URL
    var keyFile: URL
  }

  /// The names that the coordinator's own certificate carries.
  var certificateHosts: [String] {
    let everywhere = ["0.0.0.0", "::", ""]
    var hosts = hostNames
    let named = publicURL.flatMap { URL(string: $0)?.host(percentEncoded: false) }
    for host in [host, named ?? ""] where !everywhere.contains(host) && !hosts.contains(host) {
      hosts.append(host)
    }
    return hosts
  }
}
