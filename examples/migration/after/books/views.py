import asyncio
import os

from django.http import HttpResponse, JsonResponse

BOOKS = {"Middlemarch": 12, "Emma": 9, "Ulysses": 15}


def index(request):
    return HttpResponse(f"{os.environ['LIBRARY_NAME']}: {', '.join(BOOKS)}\n")


def about(request):
    return HttpResponse(f"You asked by {request.environ['REQUEST_METHOD']}\n")


async def prices(request):
    found = await asyncio.gather(*map(price, BOOKS))
    return JsonResponse(dict(zip(BOOKS, found, strict=True)))


async def price(title):
    await asyncio.sleep(0.1)  # queries another service
    return BOOKS[title]
