import Foundation
import MachineLimits
import WireProtocol

/// Everything that a volunteer can set.
package struct WorkerConfiguration: Sendable {
  /// The folder of the worker's key, certificates, results and cache. One worker runs in it at a
  /// time.
  package var dataFolder: String
  /// Admits the worker to a coordinator; needed for the first start only, and when the certificate
  /// ended.
  package var invitation: Invitation?
  /// What statistics call this machine; the coordinator keeps 100 characters. Default: the host's
  /// name.
  package var workerName = ProcessInfo.processInfo.hostName
  /// Where the key file's passphrase comes from. Default: see `PassphraseSource.automatic`.
  package var passphrase = PassphraseSource.automatic
  /// Threads to compute with, at most. Default: one for each processor that the process may use.
  package var threads = MachineLimits().threads
  /// Disk that models and inputs may take, in bytes. Default: 20 GiB.
  package var cacheLimitBytes = 20 << 30
  /// Memory that a unit may take, in bytes: weights, cache and scratch; the owner's preferences may
  /// allow less. Default: the machine's, or its control group's.
  package var memoryLimitBytes = MachineLimits().memoryBytes
  /// Seconds of work to ask for at a time. Default: 60.
  package var secondsWanted = 60
  /// Units held at one time; with 2 or more the next one's blobs are fetched while one runs.
  /// Default: 1.
  package var maximumUnits = 1
  /// Seconds that a running unit may go on after SIGTERM before it is given back. Default: 30.
  package var graceSeconds = 30
  /// Whether a stop keeps the held units for the next start, instead of finishing them or giving
  /// them back. Default: no.
  package var keepsUnits = false
  /// Whether a coordinator that turns the worker away when it joins ends it, so that the person who
  /// gave the invitation reads why. Else it tries again, as it does at any other time. Default:
  /// yes.
  package var endsWhenTurnedAwayAtFirst = true
  /// Seconds between writes of what a running unit has finished. Default: 10.
  package var checkpointSeconds = 10
  /// Whether the worker computes whatever hours, battery, people and other programs say. Default:
  /// no.
  package var computesAlways = false
  /// The variant of the kernels that computes, for the coordinator's lists. Default: not said.
  package var kernels: String?
  /// Told as long as the worker's parts answer each other. Default: nobody is.
  package var pulse: Pulse?
  /// Changes results before they are signed and sent. Nil but in tests, which need workers that are
  /// wrong.
  package var resultTransformer: ResultTransformer?

  /// Takes the one setting without a default.
  package init(dataFolder: String) { self.dataFolder = dataFolder }
}

/// Says again and again that the worker's parts still answer: a watchdog restarts one that is
/// silent.
package struct Pulse: Sendable {
  /// Between two beats.
  package var interval: Duration
  package var beat: @Sendable () -> Void

  package init(every interval: Duration, beat: @escaping @Sendable () -> Void) {
    self.interval = interval
    self.beat = beat
  }
}

/// A test tool: changes what a worker sends, so that a coordinator's verification can be seen at
/// work.
package struct ResultTransformer: Sendable {
  /// The unit, its inputs' bytes and the right result's bytes in; the bytes to send out.
  package var transform: @Sendable (Digest, Data, Data) throws -> Data

  package init(_ transform: @escaping @Sendable (Digest, Data, Data) throws -> Data) {
    self.transform = transform
  }
}
