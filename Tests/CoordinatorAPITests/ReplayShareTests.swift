import CoordinatorServer
import Foundation
import TestSupport
import Testing

@Suite struct ReplayShareTests {
  @Test("threads and memory of replays follow the control group while the coordinator runs")
  func controlGroup() throws {
    let folder = try TemporaryFolder()
    func write(_ text: String, _ path: String) throws {
      let url = folder.url.appendingPathComponent(path)
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
    func expect(_ threads: Int, _ memoryBytes: Int, of most: Int = 6) {
      let share = ReplayShare(threads: most, root: folder.url.path)
      #expect(share.threads == threads && share.memoryBytes == memoryBytes, "\(share)")
    }
    try write("0-7\n", "sys/devices/system/cpu/online")
    try write("MemTotal: 1000000 kB\n", "proc/meminfo")
    try write("0::/box\n", "proc/self/cgroup")
    expect(6, 512_000_000)
    try write("200000 100000\n", "sys/fs/cgroup/box/cpu.max")
    try write("300000000\n", "sys/fs/cgroup/box/memory.max")
    expect(2, 150_000_000)
    expect(1, 150_000_000, of: 1)
    try write("max 100000\n", "sys/fs/cgroup/box/cpu.max")
    try write("max\n", "sys/fs/cgroup/box/memory.max")
    expect(6, 512_000_000)
  }
}
