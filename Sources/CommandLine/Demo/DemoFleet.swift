import CoordinatorAPI
import CoordinatorServer
import CoordinatorCore
import CoordinatorStore
import Foundation
import WireProtocol
import WorkerDaemon

/// A coordinator and its workers on this machine, in a folder of their own, as separate processes
/// over TLS.
final class DemoFleet {
  let folder: URL
  private var children: [ChildProcess] = []

  private var coordinatorFolder: URL { folder.appending(path: "coordinator") }

  /// Makes a temporary folder that nobody else can read.
  init() throws {
    var template = Array(
      (NSTemporaryDirectory() as NSString).appendingPathComponent("tally-demo-XXXXXX").utf8CString)
    guard let path = mkdtemp(&template) else {
      throw CommandError("cannot make a temporary folder: \(String(cString: strerror(errno)))")
    }
    folder = URL(filePath: String(cString: path))
  }

  /// Adds the model, starts the coordinator, and makes a key.
  ///
  /// - Returns: how to reach it.
  func startCoordinator(model: String, name: String) async throws -> ClientConfiguration {
    let data = try DataFolder(opening: coordinatorFolder)
    _ = try await ModelImport(store: data.store, blobs: data.blobs).add(
      path: model, name: name, now: APIEnvironment.systemTime())
    let key = "tally-" + Secret.make()
    _ = try await data.store.createKey(
      NewKey(name: "demo", hash: Secret.hash(key)), now: APIEnvironment.systemTime())
    try Task.checkCancellation()
    let coordinator = try ChildProcess(
      "coordinator",
      arguments: [
        "coordinator", "--data", coordinatorFolder.path, "--port", "0", "--log-level", "notice",
        // Units of a few seconds, so that there is something to see.
        "--unit-seconds", "3", "--first-unit-requests", "3", "--maximum-unit-requests", "8",
        "--idle-seconds", "1",
      ], logPath: folder.appending(path: "coordinator.log").path)
    children.append(coordinator)
    let address = try await waitFor(coordinator) { PublicAddress.load(from: coordinatorFolder) }
    guard let url = URL(string: address) else { throw CommandError("\(address) is no address") }
    return ClientConfiguration(
      url: url, key: key, authorityPath: coordinatorFolder.appending(path: "ca.pem").path)
  }

  /// Joins a machine to an account of its own and starts it.
  func startWorker(account: String, address: URL, threads: Int) async throws {
    let data = try DataFolder(opening: coordinatorFolder)
    let secret = Secret.make()
    let now = APIEnvironment.systemTime()
    _ = try await data.store.createInvitation(
      NewInvitation(
        secretHash: Secret.hash(secret), accountName: account, uses: 1,
        expiresAt: now.adding(seconds: 3600), trusted: false, isNamed: true),
      now: now)
    let workerFolder = folder.appending(path: "worker-\(account)").path
    var configuration = WorkerConfiguration(dataFolder: workerFolder)
    configuration.workerName = "\(account)'s machine"
    configuration.invitation = Invitation(
      url: address.absoluteString, secret: secret, authority: try data.authority.fingerprint())
    _ = try await WorkerDaemon.join(configuration)
    try Task.checkCancellation()
    children.append(
      try ChildProcess(
        "worker of \(account)",
        arguments: [
          "worker", "run", "--data", workerFolder, "--threads", String(threads),
          "--grace-seconds", "0", "--log-level", "notice", "--always", "--nice", "0",
        ], logPath: folder.appending(path: "worker-\(account).log").path))
  }

  /// Throws when a process has ended by itself.
  func checkRunning() throws {
    for child in children where !child.isRunning {
      throw CommandError("the \(child.name) ended by itself:\n\(child.lastWords)")
    }
  }

  /// SQLite removes files of its own when connections close, a moment after their last use; what
  /// vanishes while the folder is listed would end its removal.
  private func removeFolder() async {
    for _ in 0..<100 {
      try? FileManager.default.removeItem(at: folder)
      guard FileManager.default.fileExists(atPath: folder.path) else { return }
      // Also when the task is cancelled, as it is here after an interruption.
      await Task.detached { try? await Task.sleep(for: .milliseconds(50)) }.value
    }
  }

  /// Stops every process, last started first, and removes the folder.
  func close(keepingFolder: Bool) async {
    for child in children.reversed() { child.terminate() }
    for child in children { await child.waitUntilExit(atMost: .seconds(20)) }
    children = []
    if !keepingFolder { await removeFolder() }
  }

  private func waitFor<Value>(
    _ child: ChildProcess, _ condition: () -> Value?
  ) async throws -> Value {
    let deadline = ContinuousClock.now + .seconds(60)
    while true {
      if let value = condition() { return value }
      guard child.isRunning, ContinuousClock.now < deadline else {
        throw CommandError("the \(child.name) did not start:\n\(child.lastWords)")
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }
}
