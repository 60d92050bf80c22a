import Testing
import TestSupport
import WireProtocol
import WorkerCore

@Suite struct BlobCacheIndexTests {
  func digest(_ number: Int) -> Digest {
    let digits = String(number, radix: 16)
    return Digest(hex: String(repeating: "0", count: 64 - digits.count) + digits)!
  }

  func index(limit: Int, _ sizes: [Int] = []) -> BlobCacheIndex {
    var evict: [Digest] = []
    let present = sizes.enumerated().map { (digest: digest($0), bytes: $1) }
    let index = BlobCacheIndex(limitBytes: limit, present: present, evict: &evict)
    #expect(evict == [])
    return index
  }

  @Test func theLeastRecentlyUsedGoFirst() {
    var cache = index(limit: 100, [30, 30, 30])
    cache.touch(digest(0))
    #expect(cache.reserve(digest(9), bytes: 50) == .reserved(evict: [digest(1), digest(2)]))
    #expect(cache.contains(digest(0)) && !cache.contains(digest(1)))
    #expect(!cache.contains(digest(9)))
    cache.commit(digest(9))
    #expect(cache.contains(digest(9)))
    #expect(cache.totalBytes == 80)
  }

  @Test func blobsInUseStay() {
    var cache = index(limit: 100, [40, 40])
    cache.pin([digest(0)])
    cache.pin([digest(0)])
    cache.unpin([digest(0)])
    #expect(cache.freeBytes == 60)
    #expect(
      cache.reserve(digest(9), bytes: 61)
        == .refused(CacheRefusal(neededBytes: 61, limitBytes: 100, heldBytes: 40)))
    #expect(cache.contains(digest(1)))
    #expect(cache.reserve(digest(9), bytes: 60) == .reserved(evict: [digest(1)]))
    cache.unpin([digest(0)])
    #expect(cache.freeBytes == 40)
  }

  @Test func aLowerLimitTakesWhatIsNotInUse() {
    var cache = index(limit: 100, [30, 30, 30])
    cache.pin([digest(0)])
    #expect(cache.limit(to: 60) == [digest(1)])
    #expect(cache.limit(to: 0) == [digest(2)])
    #expect(cache.totalBytes == 30 && cache.contains(digest(0)))
    #expect(cache.freeBytes == 0)
    cache.unpin([digest(0)])
    #expect(cache.limit(to: -5) == [digest(0)])
    #expect(cache.limit(to: 50) == [])
    #expect(cache.reserve(digest(9), bytes: 50) == .reserved(evict: []))
    #expect(cache.presentBytes == 0)
  }

  @Test func whatWasDerivedGoesBeforeBlobsAndTakesNoneOfTheirRoom() {
    var cache = index(limit: 100, [40])
    #expect(cache.reserve(digest(7), bytes: 30, isDerived: true) == .reserved(evict: []))
    cache.commit(digest(7))
    #expect(cache.totalBytes == 70)
    // Used later than the blob, and still the first to go.
    cache.touch(digest(7))
    #expect(cache.reserve(digest(1), bytes: 50) == .reserved(evict: [digest(7)]))
    cache.commit(digest(1))
    guard case .refused = cache.reserve(digest(7), bytes: 11, isDerived: true) else {
      Issue.record("a blob went for what can be made again")
      return
    }
    #expect(cache.contains(digest(0)) && cache.contains(digest(1)))
    #expect(cache.reserve(digest(7), bytes: 10, isDerived: true) == .reserved(evict: []))
    cache.commit(digest(7))
    // Of two, the least recently used; never one in use.
    #expect(cache.reserve(digest(8), bytes: 10, isDerived: true) == .reserved(evict: [digest(7)]))
    cache.commit(digest(8))
    cache.pin([digest(8)])
    guard case .refused = cache.reserve(digest(7), bytes: 10, isDerived: true) else {
      Issue.record("what is in use went")
      return
    }
    #expect(cache.freeBytes == 90)
  }

  @Test func whatTurnsOutSmallerGivesRoomBack() {
    var cache = index(limit: 100, [40])
    #expect(cache.reserve(digest(7), bytes: 60, isDerived: true) == .reserved(evict: []))
    cache.commit(digest(7), bytes: 30)
    #expect(cache.totalBytes == 70)
    #expect(cache.reserve(digest(1), bytes: 30) == .reserved(evict: []))
    cache.commit(digest(1), bytes: 31)
    #expect(cache.totalBytes == 100)
    cache.remove(digest(7))
    #expect(cache.totalBytes == 70)
  }

  @Test func derivedFilesOfAnEarlierRunGoFirst() {
    var evict: [Digest] = []
    let cache = BlobCacheIndex(
      limitBytes: 50, present: [(digest(1), 30)], derived: [(digest(2), 20), (digest(3), 10)],
      evict: &evict)
    #expect(evict == [digest(2)])
    #expect(cache.totalBytes == 40)
  }

  @Test func aSmallerLimitEvictsAtStart() {
    var evict: [Digest] = []
    let cache = BlobCacheIndex(
      limitBytes: 50, present: [(digest(1), 30), (digest(2), 30), (digest(3), 20)], evict: &evict)
    #expect(evict == [digest(1)])
    #expect(cache.totalBytes == 50)
  }

  @Test func concurrentDownloadsStayWithinTheLimitTogether() {
    var cache = index(limit: 100)
    #expect(cache.reserve(digest(1), bytes: 60) == .reserved(evict: []))
    #expect(cache.reserve(digest(1), bytes: 60) == .underway)
    guard case .refused = cache.reserve(digest(2), bytes: 60) else {
      Issue.record("both were let in")
      return
    }
    cache.remove(digest(1))
    #expect(cache.reserve(digest(2), bytes: 60) == .reserved(evict: []))
    guard case .refused = cache.reserve(digest(3), bytes: -1) else {
      Issue.record("a negative size was let in")
      return
    }
  }

  @Test func invariantsHoldUnderRandomUse() {
    for seed in testSeeds(20) {
      var random = SeededRandom(seed: seed)
      var cache = index(limit: 1000)
      var pinned: [Digest: Int] = [:]
      let derived = Set((30..<40).map { digest($0) })
      for _ in 0..<500 {
        let blob = digest(Int.random(in: 0..<40, using: &random))
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
          let bytes = Int.random(in: 0...300, using: &random)
          let isDerived = derived.contains(blob)
          if case .reserved(let evicted) = cache.reserve(
            blob, bytes: bytes, isDerived: isDerived)
          {
            if isDerived { #expect(derived.isSuperset(of: evicted)) }
            #expect(evicted.allSatisfy { pinned[$0, default: 0] == 0 && !cache.contains($0) })
            if random.chance(0.8) { cache.commit(blob) } else { cache.remove(blob) }
          }
        case 1 where cache.contains(blob):
          cache.pin([blob])
          pinned[blob, default: 0] += 1
        case 2 where pinned[blob, default: 0] > 0:
          cache.unpin([blob])
          pinned[blob, default: 0] -= 1
        default: cache.touch(blob)
        }
        #expect(cache.totalBytes <= 1000)
        #expect(pinned.allSatisfy { $0.value == 0 || cache.contains($0.key) })
      }
    }
  }
}

@Suite struct DownloadPlanTests {
  @Test func segmentsCoverTheBlobOnce() {
    for size in [0, 1, 9, 10, 11, 99, 100, 101] {
      let plan = DownloadPlan(sizeBytes: size, segmentBytes: 10) { _ in 0 }
      #expect(plan.segments.flatMap { Array($0.range) } == Array(0..<size))
      #expect(plan.missingBytes == size)
    }
  }

  @Test func whatIsOnDiskIsNotFetchedAgain() {
    let have = [10, 4, 0, 12]
    let plan = DownloadPlan(sizeBytes: 35, segmentBytes: 10) { have[$0] }
    // The last segment has five bytes, so twelve are no use.
    #expect(plan.incomplete.map(\.missing) == [14..<20, 20..<30, 30..<35])
    #expect(plan.missingBytes == 21)
  }

  @Test func contentRanges() {
    #expect(ContentRange("bytes 0-99/1234")?.range == 0..<100)
    #expect(ContentRange("bytes 0-99/1234")?.totalBytes == 1234)
    #expect(ContentRange("bytes */0")?.totalBytes == 0)
    for wrong in [
      "", "bytes", "bytes 0-99/*", "bytes 5-4/10", "bytes 0-10/10", "items 0-1/2", "bytes -1-2/3",
      "bytes 0-1/99999999999999999999", "bytes 0-1/2/3", "bytes +0-1/2", "bytes 0-1 /2",
    ] {
      #expect(ContentRange(wrong) == nil, "\(wrong)")
    }
  }
}

@Suite struct DiskLimitsTests {
  private static let disk = DiskSpace(totalBytes: 1000, availableBytes: 400)

  @Test(arguments: [
    // The least of all holds, and what the cache takes already counts as free.
    (DiskLimits(), 500, 100, disk, 500), (DiskLimits(), 5000, 100, disk, 500),
    (DiskLimits(bytes: 90), 500, 100, disk, 90), (DiskLimits(bytes: 900), 500, 100, disk, 500),
    (DiskLimits(percent: 20), 500, 100, disk, 200),
    (DiskLimits(freeBytes: 300), 500, 100, disk, 200),
    // Others have taken what was to be left free.
    (DiskLimits(freeBytes: 450), 500, 100, disk, 50),
    (DiskLimits(freeBytes: 999), 500, 100, disk, 0),
    (DiskLimits(bytes: 90, percent: 1, freeBytes: 999), 500, 100, nil, 90),
    (DiskLimits(), 500, .max, DiskSpace(totalBytes: .max, availableBytes: .max), 500),
  ])
  func theLeastHolds(limits: DiskLimits, started: Int, used: Int, space: DiskSpace?, limit: Int) {
    #expect(limits.cacheLimit(startedBytes: started, usedBytes: used, space: space).bytes == limit)
  }

  @Test(arguments: [
    (DiskLimits(), nil, "--cache-size"),
    (DiskLimits(bytes: 4_000_000), disk, "disk_free_megabytes=0"),
    (DiskLimits(bytes: 4_000_000), nil, "disk_megabytes=4"),
    (DiskLimits(percent: 20), disk, "disk_percent=20"),
    (DiskLimits(freeBytes: 1_000_000_000), disk, "disk_free_megabytes=1000"),
  ])
  func itSaysWhichSettingIsTheLeast(limits: DiskLimits, space: DiskSpace?, words: String) {
    let limit = limits.cacheLimit(startedBytes: 5_000_000, usedBytes: 100, space: space)
    #expect(limit.setting.words == words)
  }
}
