import Foundation
import TestSupport
import Testing
import WireProtocol
import WorkerCore
import WorkerDaemon

/// What the owner allows of the disk, while a worker runs.
@Suite(.timeLimit(.minutes(5))) struct DiskLimitTests {
  @Test func theCacheShrinksAndGrowsWithItsLimits() async throws {
    let (place, authority) = (try TemporaryFolder(), try TestAuthority())
    try await StubCoordinator.run(authority: authority) { url, state in
      var configuration = WorkerConfiguration(dataFolder: place.path("w"))
      configuration.invitation = try await state.invitation(url, authority)
      configuration.cacheLimitBytes = 50_000_000
      var random = SeededRandom(seed: 1)
      for number in 1...3 {
        let model = try await state.addModel(chunks: [Data(random.bytes(1_500_000))])
        try await state.addUnit(number, model: model, inputs: Data("inputs \(number)".utf8))
      }
      try await withWorker(configuration) { reports in
        try await reports.wait { $0.unitsDone == 3 }
        let socket = ControlSocket(dataFolder: place.path("w"))
        let full = try await socket.status()
        #expect(full.limits.cache_bytes == 50_000_000)
        #expect(full.cache_used_bytes > 4_500_000)
        var preferences = WorkerPreferences()
        preferences.diskMegabytes = 2
        let less = try await socket.replace(preferences)
        #expect(less.limits.cache_bytes == 2_000_000)
        #expect((1_500_000...2_000_000).contains(less.cache_used_bytes))
        let blobs = try FileManager.default.subpathsOfDirectory(atPath: place.path("w/cache/blobs"))
        let bytes = try blobs.reduce(0) { sum, name in
          let path = place.path("w/cache/blobs/" + name)
          let attributes = try FileManager.default.attributesOfItem(atPath: path)
          let isFile = attributes[.type] as? FileAttributeType == .typeRegular
          return sum + (isFile ? attributes[.size] as? Int ?? 0 : 0)
        }
        #expect(bytes == less.cache_used_bytes)
        // More than any disk has: nothing is kept, and no work that needs room is asked for.
        preferences.diskFreeMegabytes = 1_000_000_000
        let none = try await socket.replace(preferences)
        #expect(none.limits.cache_bytes == 0)
        #expect(none.limits.cache_because == "disk_free_megabytes=1000000000")
        #expect(none.cache_used_bytes == 0)
        let asked = await state.leaseRequests.count
        while await state.leaseRequests.count == asked {
          try await Task.sleep(for: .milliseconds(20))
        }
        #expect(await state.leaseRequests.last?.cacheFreeBytes == 0)
        let again = try await socket.replace(WorkerPreferences())
        #expect(again.limits.cache_bytes == 50_000_000)
      }
    }
  }
}
