import Foundation
import Testing
import TestSupport
import WireProtocol
import WorkerCore
import WorkerDaemon

/// What a worker says of its machine, and that its owner can keep it private.
@Suite(.timeLimit(.minutes(5))) struct MachineTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  private func write(_ text: String, _ path: String) throws {
    let url = URL(fileURLWithPath: place.path("root" + path))
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }

  @Test func theMachineIsToldUntilItsOwnerKeepsItPrivate() async throws {
    try write(
      "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon   E5\u{1b}\n\n"
        + "model name\t: other\n",
      "/proc/cpuinfo")
    try write("MemTotal:       16384 kB\nMemFree:  1 kB\n", "/proc/meminfo")
    try write("0::/box\n", "/proc/self/cgroup")
    try write("50000 100000\n", "/sys/fs/cgroup/box/cpu.max")
    try write("8192000\n", "/sys/fs/cgroup/box/memory.max")
    try write(
      "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n", "/etc/os-release")
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      var configuration = WorkerConfiguration(dataFolder: place.path("w"))
      configuration.invitation = try await state.invitation(url, authority)
      configuration.kernels = "scalar"
      try await withWorker(configuration, sensorRoot: place.path("root")) { reports in
        try await reports.wait { $0.summary.hasPrefix("idle") }
        let told = try #require(await state.leaseRequests.first?.machine)
        #expect(
          told
            == MachineFacts(
              processorVendor: "GenuineIntel", processorModel: "Xeon E5",
              processors: 1, memoryBytes: 8_192_000,
              systemName: "Linux", systemVersion: "Debian GNU/Linux 12 (bookworm)",
              programVersion: ProtocolVersion.program, kernels: "scalar"))
        var preferences = WorkerPreferences()
        preferences.sharesMachine = false
        _ = try await ControlSocket(dataFolder: place.path("w")).replace(preferences)
        while await state.leaseRequests.last?.machine != nil {
          try await Task.sleep(for: .milliseconds(20))
        }
      }
    }
  }
}
